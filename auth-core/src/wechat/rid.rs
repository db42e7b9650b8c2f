//! The id that WeChat gives to a refused request.

use std::fmt;
use std::sync::Arc;

/// WeChat's id of one refused request, at the end of the `errmsg`. For logs: its support, and for seven days its API, can
/// say more about the request by it.
///
/// At most 64 of `0-9 A-Z a-z _ -`, so that no log and no header can be broken by it.
#[derive(Clone, PartialEq, Eq)]
pub struct Rid(Arc<str>);

/// What stands before the id: today, until about 2021, and before that.
const MARKS: [&str; 3] = ["rid:", "req_id:", "hint: ["];

const RID_BYTES_MAX: usize = 64;

impl Rid {
    /// Finds the id in an `errmsg` such as `invalid code, rid: 642452e9-4c04dd06-08584dc4`.
    pub(super) fn find(errmsg: &str) -> Option<Self> {
        MARKS.iter().find_map(|mark| {
            let (before, after) = errmsg.rsplit_once(mark)?;
            // `grid:` is no mark.
            if before.ends_with(|c: char| c.is_ascii_alphanumeric()) {
                return None;
            }
            let after = after.trim_start();
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
            let id = &after[..end.unwrap_or(after.len())];
            (1..=RID_BYTES_MAX).contains(&id.len()).then(|| Self(id.into()))
        })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(errmsg: &str) -> Option<String> {
        Rid::find(errmsg).map(|rid| rid.to_string())
    }

    #[test]
    fn every_way_of_writing_the_id_is_found() {
        let now = Some("642452e9-4c04dd06-08584dc4".to_owned());
        assert_eq!(found("invalid code, rid: 642452e9-4c04dd06-08584dc4"), now);
        assert_eq!(found("appid missing rid: 642452e9-4c04dd06-08584dc4"), now);
        assert_eq!(found("rid:642452e9-4c04dd06-08584dc4"), now);
        assert_eq!(
            found("code blocked, hints: [ req_id: UeIhUa0636s155 ]").as_deref(),
            Some("UeIhUa0636s155")
        );
        assert_eq!(found("invalid code, hint: [qR0Moa0389th19]").as_deref(), Some("qR0Moa0389th19"));
    }

    #[test]
    fn what_is_no_id_is_not_taken() {
        for errmsg in [
            "",
            "ok",
            "rid:",
            "rid: ",
            "hybrid: 64",
            "rid: 码",
            "req_id: ]",
            &format!("rid: {}", "a".repeat(65)),
        ] {
            assert_eq!(found(errmsg), None, "{errmsg:?}");
        }
    }

    #[test]
    fn an_id_ends_before_what_could_break_a_log() {
        assert_eq!(found("rid: 64\r\nX: y").as_deref(), Some("64"));
        assert_eq!(found("rid: a\u{1b}[31m").as_deref(), Some("a"));
    }
}
