//! Names that stand in many sections: hosts, addresses, header names.

use http::header::HeaderName;

use super::Context;
use crate::config::checked::ServerAddress;

/// Whether `text` is a host name as DNS knows it, or an IPv4 address: lower-case, no final dot.
pub(super) fn is_host(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Reads `host:port`.
pub(super) fn server_address(text: &str) -> Result<ServerAddress, (&'static str, &'static str)> {
    if text.contains("://") {
        return Err(("a server is host and port, without a scheme or path", "write \"goods:3000\""));
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        let usable = address.port() != 0 && !address.ip().is_unspecified();
        return usable
            .then_some(ServerAddress::Ip(address))
            .ok_or(("a server needs an address and a port that can be called", "write \"10.0.1.11:8080\""));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(("a server needs a port", "write \"goods:3000\""));
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let Some(port) = port.parse().ok().filter(|port| digits && *port != 0) else {
        return Err(("the port must be from 1 to 65535", "write \"goods:3000\""));
    };
    let host = host.to_ascii_lowercase();
    // What ends in a number is an IPv4 address or nothing; addresses were read above.
    let number = host.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if !is_host(&host) || number {
        return Err((
            "not a server address",
            "write a name or an address and a port: \"goods:3000\", \"[fd00::1]:3000\"",
        ));
    }
    Ok(ServerAddress::Name { host, port })
}

/// Headers that frame a message, route it or carry credentials: never ours to set, to protect or to read as a token.
const TAKEN: [&str; 32] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "location",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "x-session-expires-in",
    "x-session-token",
    "x-wxgate-error",
];

/// Reads a header name that must not be one of HTTP's own or of ours. `sec-` is taken too.
pub(super) fn header(path: &str, text: &str, cx: &mut Context<'_>) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        cx.wrong(path, "not a header name", "write letters, digits and `-`, as in \"x-wx-openid\"");
        return None;
    };
    let plain = alias(name.as_str());
    let taken = TAKEN.iter().any(|taken| alias(taken) == plain) || name.as_str().starts_with("sec-");
    if taken || plain.is_empty() {
        cx.wrong(path, format!("`{name}` is a header with a meaning of its own"), "choose another name");
        return None;
    }
    Some(name)
}

/// What a careless service makes of a header name: `X-WX-OPENID`, `x_wx_openid` and `X.Wx.Openid` are one.
pub(super) fn alias(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether `text` is a name of 1 to 64 letters, digits, `.`, `_` and `-`.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_host_and_port() {
        for right in ["goods:3000", "10.0.1.11:8080", "[fd00::1]:80", "Goods.internal:1", "my_service:80"] {
            assert!(server_address(right).is_ok(), "{right} was refused");
        }
        for wrong in [
            "",
            "goods",
            ":80",
            "goods:",
            "goods:0",
            "goods:65536",
            "goods:+80",
            "http://goods:80",
            "goods:80/x",
            "a b:80",
            "-a:80",
            "10.0.1:80",
            "999.1.1.1:80",
            "0.0.0.0:80",
            "fd00::1:80",
            "a..b:80",
            "中:80",
            "u@h:80",
        ] {
            assert!(server_address(wrong).is_err(), "{wrong} passed");
        }
    }
}
