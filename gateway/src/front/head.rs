//! The request head, checked byte by byte before pingora's parser sees it (RFC 9112 §2-§5). That parser is lenient: it
//! takes a bare line feed for a line end, joins folded lines, escapes a space in the target.

use std::ops::Range;

use super::Refusal;
use crate::target::{BadTarget, Host, canonical};

/// Fields in one head; pingora's parser has room for this many.
const FIELDS_MAX: usize = 256;
/// The longest target that the `http` crate can hold, in bytes.
const TARGET_BYTES_MAX: usize = 65_534;

/// What is known of a head of which more may come. Complete lines are looked at once, however slowly the bytes arrive.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// Where the first line that is not complete begins.
    line: usize,
    /// How far that line has been searched for its end.
    searched: usize,
    /// Field lines so far; none before the request line.
    fields: Option<usize>,
    is_http_10: bool,
    target: Range<usize>,
    host: Option<Range<usize>>,
    length: Option<u64>,
    chunked: bool,
}

/// A complete head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Complete {
    /// In bytes, with the empty line.
    pub(crate) bytes: usize,
    pub(crate) body: Framing,
}

/// How the end of the request's body is found (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes; none is 0.
    Length(u64),
    Chunked,
}

impl Head {
    /// Reads on in `bytes`, which is all that came since the head began. `None`: more must come.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Option<Complete>, Refusal> {
        while let Some(at) = memchr::memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + at;
            let line = bytes[self.line..end].strip_suffix(b"\r").ok_or(Refusal::Head)?;
            let start = self.line;
            (self.line, self.searched) = (end + 1, end + 1);
            match self.fields {
                // RFC 9112 §2.2: one empty line before the request line is to be ignored.
                None if line.is_empty() && start == 0 => {}
                None => self.request_line(line, start)?,
                Some(_) if line.is_empty() => return self.complete(bytes).map(Some),
                Some(fields) => {
                    if fields == FIELDS_MAX {
                        return Err(Refusal::TooLarge);
                    }
                    self.fields = Some(fields + 1);
                    self.field_line(line, start)?;
                }
            }
        }
        self.searched = bytes.len();
        Ok(None)
    }

    fn request_line(&mut self, line: &[u8], start: usize) -> Result<(), Refusal> {
        self.fields = Some(0);
        let mut parts = line.split(|b| *b == b' ');
        let (Some(method), Some(target)) = (parts.next(), parts.next()) else { return Err(Refusal::Head) };
        // A target with a space in it has a version of several words.
        let (version, rest) = (parts.next_back(), parts.next());
        if method.is_empty() || !method.iter().all(|b| is_token(*b)) {
            return Err(Refusal::Head);
        }
        self.is_http_10 = match version {
            Some(b"HTTP/1.1") => false,
            Some(b"HTTP/1.0") => true,
            _ => return Err(Refusal::Head),
        };
        if rest.is_some() || target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
            return Err(Refusal::Target);
        }
        let target_at = start + method.len() + 1;
        self.target = target_at..target_at + target.len();
        match method {
            b"CONNECT" => Err(Refusal::Connect),
            _ if target.len() > TARGET_BYTES_MAX => Err(Refusal::TargetTooLong),
            _ => Ok(()),
        }
    }

    /// A line that begins with a space continues the last one, if it is allowed to: then a header could hide in a header.
    fn field_line(&mut self, line: &[u8], start: usize) -> Result<(), Refusal> {
        let colon = line.iter().position(|b| !is_token(*b)).ok_or(Refusal::Head)?;
        if colon == 0 || line[colon] != b':' {
            return Err(Refusal::Head);
        }
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        // Without an early end, so that the compiler may look at many bytes at once.
        if value.iter().fold(false, |control, b| control | (*b < b' ') & (*b != b'\t') | (*b == 0x7f)) {
            return Err(Refusal::Head);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                let value_at = start + colon + 1;
                let twice = self.host.replace(value_at..value_at + value.len()).is_some();
                if twice { Err(Refusal::Host) } else { Ok(()) }
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    /// Digits and nothing else, without a leading zero: `5,5` and `05` are 5 to some readers and not to others.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let digits = value.trim_ascii();
        let plain = (1..=18).contains(&digits.len())
            && digits.iter().all(u8::is_ascii_digit)
            && (digits.len() == 1 || digits[0] != b'0');
        if !plain || self.length.is_some() {
            return Err(Refusal::Framing);
        }
        self.length = Some(digits.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')));
        Ok(())
    }

    /// `chunked` and nothing else: no service in the world gets a coding that we did not look at.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::Framing);
        }
        self.chunked = true;
        Ok(())
    }

    fn complete(&self, bytes: &[u8]) -> Result<Complete, Refusal> {
        let host = bytes[self.host.clone().ok_or(Refusal::Host)?].trim_ascii();
        if Host::parse(host).is_none() {
            return Err(Refusal::Host);
        }
        let target = &bytes[self.target.clone()];
        if target[0] != b'/' {
            agrees(target, host)?;
        }
        let body = match (self.length, self.chunked) {
            (Some(_), true) => return Err(Refusal::Framing),
            (None, true) if self.is_http_10 => return Err(Refusal::Framing),
            (None, true) => Framing::Chunked,
            (length, false) => Framing::Length(length.unwrap_or(0)),
        };
        Ok(Complete { bytes: self.line, body })
    }
}

/// A target that is no path must be an absolute form with the very host that `Host` names: pingora compares the bytes.
fn agrees(target: &[u8], host: &[u8]) -> Result<(), Refusal> {
    canonical(target, std::iter::once(host), usize::MAX).map_err(|bad| match bad {
        BadTarget::BadHost => Refusal::Host,
        _ => Refusal::Target,
    })?;
    let authority = target.iter().position(|b| *b == b'/').map_or(target, |slash| &target[slash + 2..]);
    if authority.starts_with(host) { Ok(()) } else { Err(Refusal::Host) }
}

/// Whether a method or a field name may have this byte (RFC 9110 §5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Which bytes a method and a field name are made of (RFC 9110 §5.6.2).
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        token[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        token[others[at] as usize] = true;
        at += 1;
    }
    token
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(head: &str) -> Result<Option<Complete>, Refusal> {
        Head::default().read(head.as_bytes())
    }

    fn body(fields: &str) -> Result<Framing, Refusal> {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let complete = read(&head)?.expect("the head is complete");
        assert_eq!(complete.bytes, head.len());
        Ok(complete.body)
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        let head = "GET /a?b HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Odd: \t\u{e4} \"\r\n\r\n";
        let complete = Complete { bytes: head.len(), body: Framing::Length(0) };
        assert_eq!(read(&format!("{head}GET / HTTP/1.1\r\n\r\n")), Ok(Some(complete)));
        assert_eq!(read(&head[..head.len() - 1]), Ok(None));
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n").unwrap().unwrap().bytes, 29);
    }

    #[test]
    fn a_lenient_line_is_refused() {
        for head in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\n X: a\r\n\r\n",
            "GET / HTTP/1.1\r\nX : a\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\n\r\n",
            "GET / HTTP/1.1\r\nX\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\u{7f}\r\n\r\n",
            "GET / HTTP/1.1\r\nX\u{e4}: a\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\r\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET / HTTP/1.32\r\n\r\n",
            "GET / HTTP/0.9\r\n\r\n",
            "GET / http/1.1\r\n\r\n",
            "GET /\r\n\r\n",
            "GET HTTP/1.1\r\n\r\n",
            " GET / HTTP/1.1\r\n\r\n",
            "G\u{e4}T / HTTP/1.1\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "\n\nGET / HTTP/1.1\r\n\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            assert_eq!(read(head), Err(Refusal::Head), "{head:?}");
        }
        for target in ["/a b", " /", "/ ", "", "/a\t", "/\u{e4}", "/\u{1}", "/\u{7f}"] {
            assert_eq!(read(&format!("GET {target} HTTP/1.1\r\n\r\n")), Err(Refusal::Target), "{target:?}");
        }
        assert_eq!(read("CONNECT a:443 HTTP/1.1\r\n\r\n"), Err(Refusal::Connect));
    }

    #[test]
    fn a_request_has_one_host() {
        for host in
            ["", "Host: a\r\nhost: a\r\n", "Host:\r\n", "Host: a b\r\n", "Host: a@b\r\n", "Host: a/\r\n"]
        {
            assert_eq!(read(&format!("GET / HTTP/1.1\r\n{host}\r\n")), Err(Refusal::Host), "{host:?}");
        }
        for (target, found) in [
            ("http://a/b", None),
            ("https://a", None),
            ("http://b/", Some(Refusal::Host)),
            ("http://A/", Some(Refusal::Host)),
            ("http://a@a/", Some(Refusal::Host)),
            ("*", Some(Refusal::Target)),
            ("b", Some(Refusal::Target)),
            ("ftp://a/", Some(Refusal::Target)),
            ("http:a", Some(Refusal::Target)),
            (&format!("/{}", "a".repeat(TARGET_BYTES_MAX)), Some(Refusal::TargetTooLong)),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(read(&head).err(), found, "{target:?}");
        }
    }

    #[test]
    fn a_request_has_one_length() {
        assert_eq!(body(""), Ok(Framing::Length(0)));
        assert_eq!(body("content-LENGTH:5\r\n"), Ok(Framing::Length(5)));
        assert_eq!(body("Content-Length: \t0 \r\n"), Ok(Framing::Length(0)));
        assert_eq!(body("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        for fields in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: chunked,\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: \u{a0}chunked\r\n",
            "Transfer-Encoding:\r\n",
            "Content-Length: 5,5\r\n",
            "Content-Length: 05\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 9999999999999999999\r\n",
        ] {
            assert_eq!(body(fields), Err(Refusal::Framing), "{fields:?}");
        }
        assert_eq!(
            read("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Err(Refusal::Framing)
        );
    }

    #[test]
    fn fields_are_counted() {
        let fields = |count: usize| body(&"X: a\r\n".repeat(count));
        assert!(fields(FIELDS_MAX - 1).is_ok());
        assert_eq!(fields(FIELDS_MAX), Err(Refusal::TooLarge));
    }

    proptest! {
        /// However a head is cut into pieces, it is read as if it had come at once.
        #[test]
        fn pieces_change_nothing(pieces in proptest::collection::vec(proptest::sample::select(vec![
            "GET ", "/ ", "HTTP/1.1", "\r\n", "\r", "\n", "Host: a", "X", ":", " ", "Content-Length: 5", "Transfer-Encoding: chunked",
        ]), 0..16), first in any::<proptest::sample::Index>()) {
            let all = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", pieces.concat());
            let mut head = Head::default();
            let mut slowly = Ok(None);
            for end in first.index(all.len())..=all.len() {
                slowly = head.read(&all.as_bytes()[..end]);
                if slowly != Ok(None) {
                    break;
                }
            }
            prop_assert_eq!(slowly, read(&all));
        }
    }
}
