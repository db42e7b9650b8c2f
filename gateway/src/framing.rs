//! How long a request is must have one answer (RFC 9112 §6.3). pingora accepts some requests that have two.

use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap, TRANSFER_ENCODING};

use crate::denied::Denied;

/// Refuses doubled and contradictory lengths, and every transfer coding but `chunked` alone. `raw_head` is the head as
/// it came: pingora drops a `Content-Length` beside a `Transfer-Encoding` before anyone can see that both were there.
pub(crate) fn check(headers: &HeaderMap, raw_head: &[u8]) -> Result<(), Denied> {
    let (mut lengths, mut codings, mut expects_other) = (0, 0, false);
    // One walk instead of a look-up for each name: names like these compare as numbers, and few requests have any.
    for (name, value) in headers {
        if *name == CONTENT_LENGTH {
            lengths += 1;
            if !is_plain_number(value.as_bytes()) {
                return Err(Denied::BadFraming);
            }
        } else if *name == TRANSFER_ENCODING {
            codings += 1;
            if !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(Denied::BadFraming);
            }
        } else if *name == EXPECT {
            expects_other |= !value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        }
    }
    if lengths + codings > 1 || codings > 0 && has_line(raw_head, b"content-length") {
        Err(Denied::BadFraming)
    } else if expects_other {
        Err(Denied::BadExpectation)
    } else {
        Ok(())
    }
}

/// Digits and nothing else, without a leading zero: `5,5` and `05` are 5 to some readers and not to others.
fn is_plain_number(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit) && (value.len() == 1 || value[0] != b'0')
}

/// Whether a raw head has a line of this name, in any case.
fn has_line(raw_head: &[u8], name: &[u8]) -> bool {
    raw_head.split(|b| *b == b'\n').any(|line| {
        let line = line.split(|b| *b == b':').next().unwrap_or_default();
        line.trim_ascii().eq_ignore_ascii_case(name)
    })
}

/// The length that the request announces, in bytes.
pub(crate) fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(lines: &[(&'static str, &'static str)]) -> Result<(), Denied> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        check(&headers, b"")
    }

    #[test]
    fn a_request_has_one_length() {
        assert_eq!(checked(&[]), Ok(()));
        assert_eq!(checked(&[("content-length", "5")]), Ok(()));
        assert_eq!(checked(&[("transfer-encoding", "Chunked"), ("expect", "100-continue")]), Ok(()));
        for wrong in [
            &[("content-length", "5"), ("content-length", "5")][..],
            &[("content-length", "5"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", ",chunked")],
            &[("transfer-encoding", "identity")],
            &[("content-length", "5,5")],
            &[("content-length", "05")],
            &[("content-length", "")],
            &[("content-length", "0x5")],
        ] {
            assert_eq!(checked(wrong), Err(Denied::BadFraming), "{wrong:?}");
        }
        assert_eq!(checked(&[("expect", "foo")]), Err(Denied::BadExpectation));
    }

    #[test]
    fn a_length_that_pingora_dropped_is_still_seen() {
        let mut headers = HeaderMap::new();
        headers.insert(TRANSFER_ENCODING, "chunked".parse().unwrap());
        let raw = |text: &'static str| check(&headers, text.as_bytes());
        assert_eq!(
            raw("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: content-length: 5\r\n\r\n"),
            Ok(())
        );
        assert_eq!(
            raw("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-LENGTH:5\r\n\r\n"),
            Err(Denied::BadFraming)
        );
    }
}
