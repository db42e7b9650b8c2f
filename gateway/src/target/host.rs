//! The `Host` header (RFC 9110 §7.2) in its one spelling.

use std::borrow::Cow;

/// A host and, if it was given, a port. Lower-case, no trailing dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    name: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> Host<'a> {
    /// Reads `name`, `name:port`, `1.2.3.4:port` or `[v6]:port`. Longest name: 253 characters (RFC 1035 §2.3.4).
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let plain = is_plain(value);
        let value = std::str::from_utf8(value).ok()?;
        if plain {
            return Some(Self { name: Cow::Borrowed(value), port: None });
        }
        let (name, port) = split_port(value)?;
        let name = name.strip_suffix('.').unwrap_or(name);
        let port = match port {
            Some(port) => Some(parse_port(port)?),
            None => None,
        };
        let name = match name.strip_prefix('[') {
            Some(v6) => canonical_v6(v6.strip_suffix(']')?)?,
            None => canonical_name(name)?,
        };
        Some(Self { name, port })
    }

    /// Without the port: what routes match.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The host as the service gets it, if that is not how it came.
    pub(crate) fn rewritten(&self, raw: &[u8]) -> Option<String> {
        if self.port.is_none() && self.name.as_bytes() == raw {
            return None;
        }
        Some(self.authority().into_owned()).filter(|authority| authority.as_bytes() != raw)
    }

    /// As the service gets it.
    pub(crate) fn authority(&self) -> Cow<'_, str> {
        match self.port {
            None => Cow::Borrowed(&self.name),
            Some(port) => Cow::Owned(format!("{}:{port}", self.name)),
        }
    }
}

/// One pass that knows the hosts of ordinary traffic, a name or IPv4 address as it should be; the rest gets the careful
/// look.
fn is_plain(value: &[u8]) -> bool {
    let mut before = b'.';
    for &byte in value {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'.' if before != b'.' => {}
            _ => return false,
        }
        before = byte;
    }
    before != b'.' && value.len() <= 253
}

fn split_port(value: &str) -> Option<(&str, Option<&str>)> {
    match value.rfind(':') {
        // The last colon of `[::1]` is inside the brackets.
        Some(at) if !value[at..].contains(']') => Some((&value[..at], Some(&value[at + 1..]))),
        _ => Some((value, None)),
    }
}

fn parse_port(port: &str) -> Option<u16> {
    let digits = !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| port.parse().ok()).flatten()
}

fn canonical_v6(v6: &str) -> Option<Cow<'static, str>> {
    let address: std::net::Ipv6Addr = v6.parse().ok()?;
    Some(Cow::Owned(format!("[{address}]")))
}

fn canonical_name(name: &str) -> Option<Cow<'_, str>> {
    let fits = (1..=253).contains(&name.len());
    let labels = name.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    });
    if !fits || !labels {
        None
    } else if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Some(Cow::Owned(name.to_ascii_lowercase()))
    } else {
        Some(Cow::Borrowed(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(host: &str) -> Option<String> {
        Host::parse(host.as_bytes()).map(|host| host.authority().into_owned())
    }

    #[test]
    fn a_host_has_one_spelling() {
        assert_eq!(authority("GW.Test").as_deref(), Some("gw.test"));
        assert_eq!(authority("gw.test.").as_deref(), Some("gw.test"));
        assert_eq!(authority("gw.test.:8080").as_deref(), Some("gw.test:8080"));
        assert_eq!(authority("127.0.0.1:80").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(authority("[0::1]:80").as_deref(), Some("[::1]:80"));
        assert_eq!(authority("xn--fsq.test").as_deref(), Some("xn--fsq.test"));
    }

    #[test]
    fn the_short_way_says_what_the_long_way_says() {
        let longest = ["a"; 127].join(".");
        let long = ["a"; 128].join(".");
        for host in [
            "gw.test",
            "a",
            "127.0.0.1",
            "a_b-c.d",
            "GW.test",
            "gw.test.",
            ".gw",
            "a..b",
            "",
            &longest,
            &long,
        ] {
            let short = is_plain(host.as_bytes());
            assert!(!short || canonical_name(host) == Some(Cow::Borrowed(host)), "{host:?}");
        }
        assert!(is_plain(b"gw.test") && is_plain(longest.as_bytes()) && !is_plain(long.as_bytes()));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a".repeat(254);
        for wrong in [
            "",
            ".",
            "..",
            "a..b",
            ":80",
            "gw.test:",
            "gw.test:99999",
            "gw.test:+80",
            "gw.test:8x",
            "gw.test@evil",
            " gw.test",
            "gw.test ",
            "a,b",
            "a/b",
            "gw.test;for=evil",
            "gw.test\"",
            "[::1",
            "::1",
            "[::1]x",
            "[v1.x]",
            "gé",
            "a\\b",
            "a%2eb",
            &long,
        ] {
            assert_eq!(authority(wrong), None, "{wrong:?} passed");
        }
    }
}
