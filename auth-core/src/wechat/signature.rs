//! Signatures with the `session_key`.
//!
//! In both kinds the key is the base64 **text** of the `session_key`, not the 16 bytes it stands for.

use aws_lc_rs::{constant_time, digest, hmac};

use crate::SessionKey;

/// Whether `signature` is the client's over `raw_data`: both come from `wx.getUserInfo`, and `raw_data` must be the very
/// bytes received, because JSON that was read and written again is another text.
///
/// It proves that WeChat gave this text to a client who holds this `session_key`. It says neither when nor, beyond that
/// key, to whom: a text from the last hour passes as well.
#[must_use]
pub fn verify_raw_data(session_key: &SessionKey, raw_data: &str, signature: &str) -> bool {
    let expected = sign_raw_data(session_key, raw_data);
    constant_time::verify_slices_are_equal(expected.as_bytes(), signature.as_bytes()).is_ok()
}

/// Signs `raw_data` as WeChat does for the client, for simulators and tests: the SHA-1 of data and key, in 40 digits of
/// lower-case hex.
pub fn sign_raw_data(session_key: &SessionKey, raw_data: &str) -> String {
    // WeChat's choice, and nothing here rests on collisions being hard.
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(raw_data.as_bytes());
    context.update(session_key.expose().as_bytes());
    hex(context.finish().as_ref())
}

/// Signs a request on behalf of a user whose `session_key` is at hand (`sig_method=hmac_sha256`): the HMAC-SHA256 of the
/// body, or of nothing for `checksession`, in 64 digits of lower-case hex.
pub fn sign_user_state(session_key: &SessionKey, message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, session_key.expose().as_bytes());
    hex(hmac::sign(&key, message).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the page on checking open data, to the byte.
    const RAW_DATA: &str = r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#;
    const SIGNATURE: &str = "75e81ceda165f4ffa64f4068af58c64b8f54b88c";

    fn key(text: &str) -> SessionKey {
        SessionKey::new(text.to_owned()).unwrap()
    }

    #[test]
    fn wechats_example_of_raw_data_verifies() {
        assert!(verify_raw_data(&key("HyVFkGl5F5OQWJZZaNzBBg=="), RAW_DATA, SIGNATURE));
    }

    #[test]
    fn raw_data_with_anything_changed_does_not_verify() {
        let right = key("HyVFkGl5F5OQWJZZaNzBBg==");
        assert!(!verify_raw_data(&key("tiihtNczf5v6AKRyjwEUhQ=="), RAW_DATA, SIGNATURE));
        assert!(!verify_raw_data(&right, &RAW_DATA.replace("Band", "band"), SIGNATURE));
        for signature in ["", &SIGNATURE[1..], &SIGNATURE.replace('7', "8"), &format!("{SIGNATURE}0")] {
            assert!(!verify_raw_data(&right, RAW_DATA, signature), "{signature:?}");
        }
    }

    #[test]
    fn wechats_examples_of_user_state_come_out() {
        // The mini game example; with the decoded key it would begin bfa66836.
        assert_eq!(
            sign_user_state(&key("o0q0otL8aEzpcZL/FT9WsQ=="), br#"{"foo":"bar"}"#),
            "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b"
        );
        for (text, signature) in [
            ("o0q0otL8aEzpcZL/FT9WsQ==", "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"),
            ("tiihtNczf5v6AKRyjwEUhQ==", "7154f9f8b4b76b92f541cbf0e37d48840fa06e5e42da92a6f80168a1516a4735"),
            ("HyVFkGl5F5OQWJZZaNzBBg==", "252b75c92698025afe925b29cca5517fdf9ee67aae072cf3225ebf3a53783058"),
        ] {
            assert_eq!(sign_user_state(&key(text), b""), signature, "{text}");
        }
    }
}
