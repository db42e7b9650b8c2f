//! Keys that are no PEM and would pass as HMAC secrets: as such, a public key is a secret that everybody knows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// What `text` is, if it is a key of another kind; none if it may be an HMAC secret.
pub(super) fn kind(text: &str) -> Option<&'static str> {
    let starts = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    if starts(&["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-", "---- BEGIN SSH2"]) {
        return Some(SSH);
    }
    let bytes = base64(text)?;
    // The second column of an SSH key: a length of four bytes, and a name of the kind.
    if bytes.get(4..).is_some_and(|name| name.starts_with(b"ssh-") || name.starts_with(b"ecdsa-")) {
        return Some(SSH);
    }
    is_der(&bytes).then_some("a public key, or any other in DER without its PEM lines, is not an HMAC secret")
}

const SSH: &str = "an SSH key is not accepted";

/// What `text` says in base64 of either alphabet, over one line or several.
fn base64(text: &str) -> Option<Vec<u8>> {
    let letters = text.chars().filter(|c| !c.is_ascii_whitespace());
    let plain: String = letters
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    STANDARD_NO_PAD.decode(plain.trim_end_matches('=')).ok()
}

/// Whether `bytes` are what every key and certificate in DER is: one SEQUENCE without a byte too many, whose first member is
/// an INTEGER or a SEQUENCE. Not one random secret in a million looks so.
fn is_der(bytes: &[u8]) -> bool {
    let Some((0x30, inner, [])) = value(bytes) else { return false };
    matches!(value(inner), Some((0x02 | 0x30, ..)))
}

/// The tag and the content of the first value in `bytes`, and what follows it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
