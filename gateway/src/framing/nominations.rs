//! What a `Connection` header may name (RFC 9110 §7.6.1): the fields that end with this connection.
//!
//! pingora removes what is named, and refuses what must not be removed so late that the client gets no answer. Here the
//! same is refused first, with a reason.

use crate::denied::Denied;
use crate::front::is_token;

/// More names than any client has use for; pingora's own limit.
const NOMINATIONS_MAX: usize = 9;

/// What a service relies on, whatever a client says.
const PROTECTED: [&[u8]; 4] = [b"host", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"];

/// Looks at one line, after so many names in lines before it, and says how many there are now.
pub(super) fn check_line(value: &[u8], before: usize) -> Result<usize, Denied> {
    if value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close") {
        return Ok(before + 1);
    }
    let names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
    let mut count = before;
    for name in names {
        count += 1;
        let protected = PROTECTED.iter().any(|protected| name.eq_ignore_ascii_case(protected));
        if count > NOMINATIONS_MAX || protected || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Denied::BadConnection);
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_header_names_few_fields_and_none_that_matters() {
        assert_eq!(check_line(b"keep-alive", 0), Ok(1));
        assert_eq!(check_line(b", Upgrade ,,x-wx-openid", 1), Ok(3));
        assert_eq!(check_line(b"", 9), Ok(9));
        for wrong in [
            &b"Host"[..],
            b"close, hOST",
            b"X-Forwarded-For",
            b"x-forwarded-host",
            b"X-Forwarded-Proto",
            b":authority",
            b"\"X-WX-OPENID\"",
            b"a b",
            b"a\xff",
            b"1,2,3,4,5,6,7,8,9,0",
        ] {
            assert_eq!(check_line(wrong, 0), Err(Denied::BadConnection), "{}", wrong.escape_ascii());
        }
        assert_eq!(check_line(b"x", 9), Err(Denied::BadConnection));
    }
}
