//! Secrets that are none: known from documentation, typed in a hurry, or left to be filled in.

/// Whole secrets, in lower case without anything but letters and digits. The last ones are those of `config/dev.toml`.
const KNOWN: [&str; 22] = [
    "secret",
    "mysecret",
    "supersecret",
    "topsecret",
    "appsecret",
    "test",
    "testing",
    "password",
    "passwd",
    "admin",
    "default",
    "todo",
    "none",
    "null",
    "undefined",
    "1234567890",
    "your256bitsecret",
    "astringsecretatleast256bitslong",
    "keyboardcat",
    "developmentonlyhmacsecretofwxgatedonotuse",
    "developmentonlysecretofshop",
    "developmentonlysecretofmerchant",
];

/// Parts that only a placeholder has.
const PARTS: [&str; 10] = [
    "changeme",
    "changethis",
    "replaceme",
    "placeholder",
    "example",
    "yoursecret",
    "yourappsecret",
    "yourkey",
    "insert",
    "developmentonly",
];

/// Why `text` is no secret; none if nothing speaks against it.
pub(super) fn weakness(text: &str) -> Option<&'static str> {
    let plain: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let marked = (text.starts_with('<') && text.ends_with('>')) || text.starts_with("${");
    if marked || KNOWN.contains(&plain.as_str()) || PARTS.iter().any(|part| plain.contains(part)) {
        Some("a placeholder, not a secret")
    } else if repeats(text.as_bytes()) {
        Some("a repeated pattern, not a secret")
    } else if counts(text.as_bytes()) {
        Some("a sequence, not a secret")
    } else {
        None
    }
}

/// Whether the whole is one piece written twice or more. By chance that never happens: the second half would have to be
/// guessed right.
fn repeats(bytes: &[u8]) -> bool {
    (1..=bytes.len() / 2)
        .any(|period| bytes[period..].iter().zip(bytes).all(|(later, earlier)| later == earlier))
}

/// Whether most neighbours are neighbours in the alphabet, too, in one direction.
fn counts(bytes: &[u8]) -> bool {
    let steps = |by: u8| bytes.windows(2).filter(|pair| pair[0].wrapping_add(by) == pair[1]).count();
    let most = bytes.len().saturating_sub(1) * 3 / 4;
    bytes.len() > 4 && (steps(1) > most || steps(u8::MAX) > most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_patterns_are_found_and_random_texts_are_not() {
        for weak in [
            "changeme",
            "Change-Me!",
            "secret",
            "SECRET",
            "your-256-bit-secret",
            "<your app secret>",
            "${WX_SECRET}",
            "00000000000000000000000000000000",
            "abababababababababababababababab",
            "0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz012345",
            "a-string-secret-at-least-256-bits-long",
            "example-secret-of-the-documentation-1",
        ] {
            assert!(weakness(weak).is_some(), "{weak} passed");
        }
        for strong in [
            "f3c1a97be0d2456889ab10c7d35e6f42",
            "Zt8rV0sQ2nYx5Lk9WmB3cJ7dHf1gPa4e",
            "q7Jm0m8YQ4yqk0Pq3mQ5tq0m0Z9S7c2X",
        ] {
            assert_eq!(weakness(strong), None, "{strong} was refused");
        }
    }
}
