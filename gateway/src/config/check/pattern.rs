//! What a route matches: hosts, paths and methods, each in one spelling only.
//!
//! A request is matched in its canonical form. A pattern in any other form would never match, and look as if it did.

use http::Method;

use super::names;
use crate::config::checked::{HostPattern, PathPattern, Segment};

/// What is wrong, and what to do.
pub(super) type Wrong = (String, String);

/// The most bytes of a pattern; more than any service has.
const PATTERN_BYTES_MAX: usize = 2048;

/// Reads `/exact`, `/prefix/*` or `/item/{id}`.
pub(super) fn path(text: &str) -> Result<PathPattern, Wrong> {
    let Some(below) = text.strip_prefix('/') else {
        return Err(("a path starts with `/`".into(), format!("write \"/{text}\"")));
    };
    if text.len() > PATTERN_BYTES_MAX {
        return Err((
            format!("longer than {PATTERN_BYTES_MAX} bytes"),
            "shorten it, and end it with `/*`".into(),
        ));
    }
    let mut parts: Vec<&str> = below.split('/').collect();
    let prefix = parts.last() == Some(&"*");
    if prefix {
        parts.pop();
    }
    let mut segments = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len() && !prefix;
        if part.is_empty() && !last {
            return Err((
                "an empty segment (`//`) is refused in every request".into(),
                "write a single `/`".into(),
            ));
        }
        let segment = segment(part)?;
        if matches!(segment, Segment::Param(_)) && segments.contains(&segment) {
            return Err((format!("`{part}` stands there twice"), "give each its own name".into()));
        }
        segments.push(segment);
    }
    Ok(PathPattern { text: text.into(), segments, prefix })
}

fn segment(part: &str) -> Result<Segment, Wrong> {
    let wrong = |why: &str, help: &str| Err((why.to_owned(), help.to_owned()));
    if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        return match name {
            _ if !name.is_empty() && name.bytes().all(valid) => Ok(Segment::Param(name.to_owned())),
            _ => wrong("the name in `{…}` is one or more of a-z 0-9 _", "write \"{id}\""),
        };
    }
    match part {
        "." | ".." => {
            return wrong("a dot segment is refused in every request", "write the path that it leads to");
        }
        _ if part.starts_with(':') => {
            return wrong("`:` does not start a parameter", "write \"{id}\" instead of \":id\"");
        }
        _ => {}
    }
    match part.chars().find(|&c| !is_literal(c)) {
        None => Ok(Segment::Literal(part.to_owned())),
        Some('*') => wrong(
            "`*` stands alone and at the end",
            "write \"/prefix/*\", or \"{name}\" for a single segment",
        ),
        Some('{' | '}') => wrong("`{…}` is a whole segment", "write \"/item/{id}\""),
        Some('?' | '#') => {
            wrong("a pattern ends before `?` and `#`", "the query takes no part in matching: leave it out")
        }
        Some('%') => wrong(
            "encoded characters are decoded before matching",
            "write a prefix above it that ends with `/*`",
        ),
        Some(c) if !c.is_ascii() => wrong(
            "a path holds ASCII only",
            "requests carry other characters encoded: write a prefix above it that ends with `/*`",
        ),
        Some(_) => wrong(
            "this character cannot stand in a path",
            "letters, digits and - . _ ~ ! $ & ' ( ) + , ; = : @ can",
        ),
    }
}

/// RFC 3986: unreserved, sub-delims, `:` and `@`; the star is ours.
fn is_literal(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()+,;=:@".contains(c)
}

/// Reads `"shop.example.com"` or `"*.example.com"`, in any case.
pub(super) fn host(text: &str) -> Result<HostPattern, Wrong> {
    let lower = text.to_ascii_lowercase();
    if text == "*" {
        return Err(("`*` alone is no host".into(), "leave `hosts` out for any host".into()));
    }
    if !text.is_ascii() {
        return Err((
            "a host holds ASCII only".into(),
            "write an international name in its `xn--` form".into(),
        ));
    }
    if let Some(address) = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        && let Ok(address) = address.parse::<std::net::Ipv6Addr>()
    {
        return Ok(HostPattern::Exact(format!("[{address}]")));
    }
    if let Some(below) = lower.strip_prefix("*.")
        && names::is_host(below)
    {
        return Ok(HostPattern::Wildcard(below.to_owned()));
    }
    if names::is_host(&lower) {
        return Ok(HostPattern::Exact(lower));
    }
    let help = match lower.split_once(':') {
        Some((host, _)) if names::is_host(host) => format!("without the port: \"{host}\""),
        _ => match lower.strip_suffix('.') {
            Some(host) if names::is_host(host) => format!("without the final dot: \"{host}\""),
            _ => "write \"shop.example.com\" or \"*.example.com\"".into(),
        },
    };
    Err(("not a host".into(), help))
}

/// Reads a method. They are compared exactly, so lower case would never match.
pub(super) fn method(text: &str) -> Result<Method, Wrong> {
    let upper = text.to_ascii_uppercase();
    match Method::from_bytes(upper.as_bytes()) {
        Err(_) => Err(("not a method".into(), "write \"GET\"".into())),
        Ok(_) if upper != text => {
            Err(("methods are written in upper case".into(), format!("write \"{upper}\"")))
        }
        Ok(Method::CONNECT) => Err(("CONNECT is refused in every request".into(), "leave it out".into())),
        Ok(method) => Ok(method),
    }
}

/// Reads a prefix to strip from `path`: what it removes must be known in advance, so it is whole literal segments.
pub(super) fn strip_prefix(text: &str, path: &PathPattern) -> Result<(), Wrong> {
    let help = || {
        let literal = path.segments.iter().map_while(|segment| match segment {
            Segment::Literal(text) if !text.is_empty() => Some(format!("/{text}")),
            _ => None,
        });
        match literal.collect::<String>().as_str() {
            "" => "leave it out: the path starts with nothing that could be removed".into(),
            longest => format!("write \"{longest}\""),
        }
    };
    let parts: Option<Vec<&str>> = text.strip_prefix('/').map(|below| below.split('/').collect());
    let starts = parts.is_some_and(|parts| {
        let literals = parts.iter().map(|part| Segment::Literal((*part).to_owned()));
        !parts.contains(&"")
            && parts.len() <= path.segments.len()
            && literals.eq(path.segments[..parts.len()].iter().cloned())
    });
    if starts {
        Ok(())
    } else {
        Err(("must be whole literal segments at the start of `path`".into(), help()))
    }
}
