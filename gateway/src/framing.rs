//! How long a request is must have one answer (RFC 9112 §6.3, RFC 9113 §8.1.1), and what it expects must be met.

mod nominations;

use http::Version;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap};

use crate::denied::Denied;

/// Refuses an expectation that nobody meets, a `Connection` that names what it must not, and over HTTP/2 a length that two
/// could read differently. Over HTTP/1 the front has seen to lengths already.
pub(crate) fn check(version: Version, headers: &HeaderMap) -> Result<(), Denied> {
    if version == Version::HTTP_2 {
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
        let plain = lengths.next().is_none_or(|length| is_plain_number(length.as_bytes()));
        if !plain || lengths.next().is_some() {
            return Err(Denied::BadFraming);
        }
    }
    let mut nominated = 0;
    for line in headers.get_all(CONNECTION) {
        nominated = nominations::check_line(line.as_bytes(), nominated)?;
    }
    let met =
        headers.get_all(EXPECT).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if met { Ok(()) } else { Err(Denied::BadExpectation) }
}

/// Digits and nothing else, without a leading zero: `5,5` and `05` are 5 to some readers and not to others.
fn is_plain_number(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit) && (value.len() == 1 || value[0] != b'0')
}

/// The length that the request announces, in bytes.
pub(crate) fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(version: Version, lines: &[(&'static str, &'static str)]) -> Result<(), Denied> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        check(version, &headers)
    }

    #[test]
    fn a_request_over_http2_has_one_length() {
        assert_eq!(checked(Version::HTTP_2, &[]), Ok(()));
        assert_eq!(checked(Version::HTTP_2, &[("content-length", "5")]), Ok(()));
        for wrong in [
            &[("content-length", "5"), ("content-length", "5")][..],
            &[("content-length", "5,5")],
            &[("content-length", "05")],
            &[("content-length", "")],
        ] {
            assert_eq!(checked(Version::HTTP_2, wrong), Err(Denied::BadFraming), "{wrong:?}");
        }
    }

    #[test]
    fn one_expectation_is_met() {
        for (value, met) in
            [("100-continue", Ok(())), ("100-Continue", Ok(())), ("foo", Err(Denied::BadExpectation))]
        {
            assert_eq!(checked(Version::HTTP_11, &[("expect", value)]), met);
        }
    }
}
