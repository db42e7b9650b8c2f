//! Random texts. From the system's generator: nothing here needs to be repeatable, only what depends on users does.

/// Random bytes.
///
/// # Panics
/// If the system's generator fails, which nothing here could make good.
pub(super) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random generator works");
    bytes
}

/// `count` characters of `0-9 A-Z a-z`.
pub(super) fn alphanumeric(count: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // 62 of 64 values hit the alphabet; the others are drawn again, so that every character is equally likely.
    let draws = std::iter::repeat_with(bytes::<64>).flatten();
    draws
        .filter_map(|byte| ALPHABET.get(usize::from(byte & 63)))
        .take(count)
        .map(|b| char::from(*b))
        .collect()
}

/// `count` random bytes as twice as many lower-case hex digits.
pub(super) fn hex(count: usize) -> String {
    std::iter::repeat_with(bytes::<16>).flatten().take(count).map(|byte| format!("{byte:02x}")).collect()
}
