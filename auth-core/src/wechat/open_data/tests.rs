use proptest::prelude::*;

use super::*;

// The example of WeChat's page on checking and decrypting open data.
const APPID: &str = "wx4f4bc4dec97d474b";
const KEY: &str = "tiihtNczf5v6AKRyjwEUhQ==";
const IV: &str = "r7BXXKkLb8qrSNn05n0qiA==";
const ENCRYPTED_DATA: &str = concat!(
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

/// What the example opens to, to the byte.
const PLAIN: &str = concat!(
    r#"{"openId":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","nickName":"Band","gender":1,"language":"zh_CN","#,
    r#""city":"Guangzhou","province":"Guangdong","country":"CN","#,
    r#""avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/aSKcBBPpibyKNicHNTMM0qJVh8Kjgiak2AHWr8MHM4WgMEm7GFhsf8OYrySdbvAMvTsw3mo8ibKicsnfN5pRjl1p8HQ/0","#,
    r#""unionId":"ocMvos6NjeKLIBqg5Mr9QjxrP1FA","watermark":{"timestamp":1477314187,"appid":"wx4f4bc4dec97d474b"}}"#,
);

fn app() -> AppId {
    AppId::parse(APPID).unwrap()
}

fn key(text: &str) -> SessionKey {
    SessionKey::new(text.to_owned()).unwrap()
}

fn opened(encrypted_data: &str, iv: &str) -> Result<OpenData, OpenDataError> {
    decrypt(&app(), &key(KEY), Sealed { encrypted_data, iv })
}

fn iv() -> [u8; 16] {
    STANDARD.decode(IV).unwrap().try_into().unwrap()
}

/// What opening `plain` gives after sealing it.
fn sealed(plain: &str) -> Result<OpenData, OpenDataError> {
    opened(&encrypt(&key(KEY), iv(), plain.as_bytes()).unwrap(), IV)
}

#[test]
fn wechats_example_opens() {
    let data = opened(ENCRYPTED_DATA, IV).unwrap();
    assert_eq!(data.sealed_at, 1_477_314_187);
    assert_eq!(data.json, serde_json::from_str::<Value>(PLAIN).unwrap());
}

#[test]
fn wechats_example_seals_to_the_same_bytes() {
    assert_eq!(encrypt(&key(KEY), iv(), PLAIN.as_bytes()).unwrap(), ENCRYPTED_DATA);
}

#[test]
fn a_stale_key_does_not_open() {
    let sealed = Sealed { encrypted_data: ENCRYPTED_DATA, iv: IV };
    let result = decrypt(&app(), &key("HyVFkGl5F5OQWJZZaNzBBg=="), sealed);
    assert_eq!(result.unwrap_err(), OpenDataError::NotDecryptable);
}

#[test]
fn another_iv_does_not_open_although_its_padding_fits() {
    assert_eq!(opened(ENCRYPTED_DATA, "AAAAAAAAAAAAAAAAAAAAAA==").unwrap_err(), OpenDataError::NotJson);
}

/// Why nothing in open data says who the user is.
#[test]
fn a_client_can_change_what_the_first_block_opens_to() {
    let mut iv = iv();
    // The twelfth byte is the first of the openid.
    iv[11] ^= b'o' ^ b'x';
    let data = opened(ENCRYPTED_DATA, &STANDARD.encode(iv)).unwrap();
    assert_eq!(data.json["openId"], "xGZUI0egBJY1zhBYw2KhdUfwVJJE");
}

#[test]
fn data_of_another_app_is_refused() {
    let other = AppId::parse("wx1111111111111111").unwrap();
    let sealed_for_another = Sealed { encrypted_data: ENCRYPTED_DATA, iv: IV };
    let result = decrypt(&other, &key(KEY), sealed_for_another);
    assert_eq!(result.unwrap_err(), OpenDataError::WrongApp);
    for none in
        ["{}", r#"{"watermark":7}"#, r#"{"watermark":{"timestamp":1}}"#, r#"{"watermark":{"appid":null}}"#]
    {
        assert_eq!(sealed(none).unwrap_err(), OpenDataError::WrongApp, "{none}");
    }
}

#[test]
fn what_is_not_the_json_of_open_data_is_refused() {
    let undated = format!(r#"{{"watermark":{{"appid":"{APPID}"}}}}"#);
    let not_utf8 = encrypt(&key(KEY), iv(), b"{\"a\":\"\xff\"}").unwrap();
    assert_eq!(opened(&not_utf8, IV).unwrap_err(), OpenDataError::NotJson);
    for plain in ["", "null", "[]", "{", "{} {}", &undated, &"[".repeat(10_000)] {
        assert_eq!(sealed(plain).unwrap_err(), OpenDataError::NotJson, "{plain}");
    }
}

#[test]
fn data_that_is_not_whole_blocks_is_refused() {
    let bytes = STANDARD.decode(ENCRYPTED_DATA).unwrap();
    for left in [0, 1, 15, 17, 399] {
        let result = opened(&STANDARD.encode(&bytes[..left]), IV);
        assert_eq!(result.unwrap_err(), OpenDataError::NotWholeBlocks, "{left} bytes left");
    }
    // Whole blocks with the last one missing: what is now the end is no padding.
    assert_eq!(opened(&STANDARD.encode(&bytes[..384]), IV).unwrap_err(), OpenDataError::NotDecryptable);
}

#[test]
fn padding_of_another_kind_is_refused() {
    // 393 bytes of JSON and 7 of a padding that fills with zeros: whole blocks, so that sealing adds one of its own.
    let padded = [PLAIN.as_bytes(), &[0, 0, 0, 0, 0, 0, 7]].concat();
    let mut data = STANDARD.decode(encrypt(&key(KEY), iv(), &padded).unwrap()).unwrap();
    data.truncate(padded.len());
    assert_eq!(opened(&STANDARD.encode(data), IV).unwrap_err(), OpenDataError::NotDecryptable);
}

#[test]
fn a_key_or_iv_of_another_length_is_named() {
    let given = Sealed { encrypted_data: ENCRYPTED_DATA, iv: IV };
    for wrong in [
        "x",
        "tiihtNczf5v6AKRyjwEU",
        "tiihtNczf5v6AKRyjwEUhQ",
        "tiihtNczf5v6AKRyjwEUhXXXXXXXXXXXXXXXXXXXXXQ=",
    ] {
        assert_eq!(decrypt(&app(), &key(wrong), given).unwrap_err(), OpenDataError::BadSessionKey, "{wrong}");
        assert_eq!(encrypt(&key(wrong), iv(), b"").unwrap_err(), OpenDataError::BadSessionKey, "{wrong}");
    }
    for wrong in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAA="] {
        assert_eq!(opened(ENCRYPTED_DATA, wrong).unwrap_err(), OpenDataError::BadIv, "{wrong}");
    }
}

#[test]
fn plus_signs_lost_on_the_way_are_suspected() {
    let lost = opened(&ENCRYPTED_DATA.replace('+', " "), IV).unwrap_err();
    assert_eq!(lost, OpenDataError::BadBase64 { member: "encryptedData", spaces: true });
    assert!(lost.to_string().contains("plus signs"), "{lost}");
    let other = opened(ENCRYPTED_DATA, "r7BXXKkLb8qrSNn05n0qiA").unwrap_err();
    assert_eq!(other, OpenDataError::BadBase64 { member: "iv", spaces: false });
    assert_eq!(other.to_string(), "iv is not base64");
}

#[test]
fn opened_data_is_not_shown() {
    assert_eq!(
        format!("{:?}", opened(ENCRYPTED_DATA, IV).unwrap()),
        "OpenData { sealed_at: 1477314187, .. }"
    );
}

proptest! {
    #[test]
    fn no_input_makes_it_panic(encrypted_data: String, iv: String, session_key in ".{1,40}") {
        let given = Sealed { encrypted_data: &encrypted_data, iv: &iv };
        prop_assert!(decrypt(&app(), &key(&session_key), given).is_err());
    }

    #[test]
    fn no_sealed_bytes_make_it_panic(blocks: Vec<[u8; 16]>, iv: [u8; 16], session_key: [u8; 16]) {
        let (encrypted_data, iv) = (STANDARD.encode(blocks.concat()), STANDARD.encode(iv));
        let given = Sealed { encrypted_data: &encrypted_data, iv: &iv };
        prop_assert!(decrypt(&app(), &key(&STANDARD.encode(session_key)), given).is_err());
    }

    #[test]
    fn what_was_sealed_opens(name: String, iv: [u8; 16], session_key: [u8; 16]) {
        let session_key = key(&STANDARD.encode(session_key));
        let plain = serde_json::json!({ "name": name, "watermark": { "appid": APPID, "timestamp": 7 } });
        let encrypted_data = encrypt(&session_key, iv, plain.to_string().as_bytes()).unwrap();
        let iv = STANDARD.encode(iv);
        let data = decrypt(&app(), &session_key, Sealed { encrypted_data: &encrypted_data, iv: &iv }).unwrap();
        prop_assert_eq!(data.json, plain);
    }
}
