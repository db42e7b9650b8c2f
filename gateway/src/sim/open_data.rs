//! The cryptography of open data, as WeChat's side does it: encrypts and signs with a `session_key`.

use aws_lc_rs::cipher::{AES_128, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::calls::hex;

/// `encryptedData`: AES-128-CBC with PKCS#7, under the 16 bytes that the key's text stands for, in base64.
/// `None` for a key that is not 16 bytes in base64.
pub(super) fn encrypt(session_key: &str, iv: [u8; 16], data: &[u8]) -> Option<String> {
    let key = STANDARD.decode(session_key).ok()?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, &key).ok()?).ok()?;
    let mut data = data.to_vec();
    key.less_safe_encrypt(&mut data, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(STANDARD.encode(data))
}

/// The `signature` beside a `rawData`: SHA-1 over the data and the key's text.
pub(super) fn raw_data_signature(session_key: &str, raw_data: &str) -> String {
    let signed = format!("{raw_data}{session_key}");
    hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, signed.as_bytes()).as_ref())
}

/// Whether `signature` is the HMAC-SHA256 over nothing that proves a `session_key`. The HMAC key is the **text** of
/// the key, 24 characters of base64, not the bytes it stands for.
pub(super) fn proves_session_key(session_key: &str, signature: &str) -> bool {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, session_key.as_bytes()), b"");
    hex(tag.as_ref()) == signature
}

#[cfg(test)]
mod tests {
    use super::*;

    // Public vectors of WeChat's own documentation and sample packages.

    #[test]
    fn the_official_user_info_encrypts_to_the_official_data() {
        let plain = concat!(
            r#"{"openId":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","nickName":"Band","gender":1,"language":"zh_CN","#,
            r#""city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/"#,
            r#"aSKcBBPpibyKNicHNTMM0qJVh8Kjgiak2AHWr8MHM4WgMEm7GFhsf8OYrySdbvAMvTsw3mo8ibKicsnfN5pRjl1p8HQ/0","#,
            r#""unionId":"ocMvos6NjeKLIBqg5Mr9QjxrP1FA","watermark":{"timestamp":1477314187,"#,
            r#""appid":"wx4f4bc4dec97d474b"}}"#
        );
        let expected = concat!(
            "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS",
            "9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142d",
            "NCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6",
            "/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn",
            "/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4P",
            "C7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns",
            "/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYV",
            "oKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuy",
            "Db/XcxxmK01EpqOyuxINew==",
        );
        let iv = STANDARD.decode("r7BXXKkLb8qrSNn05n0qiA==").unwrap().try_into().unwrap();
        assert_eq!(encrypt("tiihtNczf5v6AKRyjwEUhQ==", iv, plain.as_bytes()).as_deref(), Some(expected));
    }

    #[test]
    fn the_official_raw_data_has_the_official_signature() {
        let raw = concat!(
            r#"{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","#,
            r#""country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol"#,
            r#"6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}"#
        );
        let signature = raw_data_signature("HyVFkGl5F5OQWJZZaNzBBg==", raw);
        assert_eq!(signature, "75e81ceda165f4ffa64f4068af58c64b8f54b88c");
    }

    #[test]
    fn a_session_key_is_proved_by_the_hmac_under_its_text() {
        for (key, signature) in [
            ("o0q0otL8aEzpcZL/FT9WsQ==", "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"),
            ("tiihtNczf5v6AKRyjwEUhQ==", "7154f9f8b4b76b92f541cbf0e37d48840fa06e5e42da92a6f80168a1516a4735"),
            ("HyVFkGl5F5OQWJZZaNzBBg==", "252b75c92698025afe925b29cca5517fdf9ee67aae072cf3225ebf3a53783058"),
        ] {
            assert!(proves_session_key(key, signature), "{key}");
        }
        assert!(!proves_session_key("o0q0otL8aEzpcZL/FT9WsQ==", ""));
    }

    #[test]
    fn a_key_of_the_wrong_length_encrypts_nothing() {
        assert_eq!(encrypt("c2hvcnQ=", [0; 16], b"{}"), None);
        assert_eq!(encrypt("not base64", [0; 16], b"{}"), None);
    }
}
