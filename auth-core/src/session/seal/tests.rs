use std::collections::HashSet;

use aws_lc_rs::aead::{LessSafeKey, UnboundKey};
use secrecy::ExposeSecret;

use super::*;

const TEXT: &str = "tiihtNczf5v6AKRyjwEUhQ==";
/// 0, 7, 14 … would be a sequence: these are the first bytes of SHA-256's constants.
const KEY: [u8; KEY_BYTES] = [
    0x42, 0x8a, 0x2f, 0x98, 0x71, 0x37, 0x44, 0x91, 0xb5, 0xc0, 0xfb, 0xcf, 0xe9, 0xb5, 0xdb, 0xa5, 0x39,
    0x56, 0xc2, 0x5b, 0x59, 0xf1, 0x11, 0xf1, 0x92, 0x3f, 0x82, 0xa4, 0xab, 0x1c, 0x5e, 0xd5,
];

fn key(kid: &str) -> SealKey {
    SealKey::parse(kid, &KEY).unwrap()
}

fn other_key(kid: &str) -> SealKey {
    SealKey::parse(kid, generate_seal_key().expose_secret().as_bytes()).unwrap()
}

fn seal_of(keys: impl IntoIterator<Item = SealKey>) -> Seal {
    Seal::new(keys.into_iter().collect()).unwrap()
}

fn session_key() -> SessionKey {
    SessionKey::new(TEXT.into()).unwrap()
}

/// The names of one session.
#[derive(Clone)]
struct Named {
    sid: Sid,
    app: AppId,
    openid: OpenId,
}

fn alice() -> Named {
    Named {
        sid: Sid::from_bytes([1; Sid::BYTES]),
        app: AppId::parse("wx1111111111111111").unwrap(),
        openid: OpenId::parse("oAlice").unwrap(),
    }
}

fn sealed(seal: &Seal, of: &Named) -> Vec<u8> {
    seal.seal(&session_key(), of.sid, &of.app, &of.openid)
}

fn open(seal: &Seal, sealed: &[u8], of: &Named) -> Result<String, Unreadable> {
    seal.open(sealed, of.sid, &of.app, &of.openid).map(|key| key.expose().to_owned())
}

#[test]
fn a_key_opens_what_it_sealed_for_the_same_session() {
    let seal = seal_of([key("2026-11")]);
    assert_eq!(open(&seal, &sealed(&seal, &alice()), &alice()).unwrap(), TEXT);
}

#[test]
fn a_sealed_key_of_another_session_does_not_open() {
    let seal = seal_of([key("a")]);
    let sealed = sealed(&seal, &alice());
    let sid = Named { sid: Sid::from_bytes([2; Sid::BYTES]), ..alice() };
    let app = Named { app: AppId::parse("wx2222222222222222").unwrap(), ..alice() };
    let openid = Named { openid: OpenId::parse("oBob").unwrap(), ..alice() };
    for (what, other) in [("sid", sid), ("app", app), ("openid", openid)] {
        assert_eq!(open(&seal, &sealed, &other), Err(Unreadable::NotSealed), "another {what}");
    }
}

#[test]
fn another_key_does_not_open_it_whatever_its_name() {
    let sealed = sealed(&seal_of([key("a")]), &alice());
    assert_eq!(open(&seal_of([other_key("a")]), &sealed, &alice()), Err(Unreadable::NotSealed));
    let unknown = Unreadable::UnknownKey { kid: "a".into() };
    assert_eq!(open(&seal_of([key("b")]), &sealed, &alice()), Err(unknown));
}

#[test]
fn nothing_of_it_can_be_cut_added_or_changed() {
    let seal = seal_of([key("kid")]);
    let whole = sealed(&seal, &alice());
    for length in 0..whole.len() {
        assert!(open(&seal, &whole[..length], &alice()).is_err(), "{length} bytes opened");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert_eq!(open(&seal, &longer, &alice()), Err(Unreadable::NotSealed));
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&seal, &changed, &alice()).is_err(), "bit {bit} changed, and it opened");
    }
}

#[test]
fn the_first_key_seals_and_all_open() {
    let before = sealed(&seal_of([key("old")]), &alice());
    let rotated = seal_of([other_key("new"), key("old")]);
    assert_eq!(open(&rotated, &before, &alice()).unwrap(), TEXT);
    let after = sealed(&rotated, &alice());
    assert_eq!(&after[..5], b"\x01\x03new");
    assert_eq!(
        open(&seal_of([key("old")]), &after, &alice()),
        Err(Unreadable::UnknownKey { kid: "new".into() })
    );
}

/// Written from the table in the head of the module alone, over the other interface of the library.
#[test]
fn the_sealed_form_is_as_documented() {
    let sealed = sealed(&seal_of([key("k1")]), &alice());
    let (head, rest) = sealed.split_at(4);
    assert_eq!(head, b"\x01\x02k1");
    let (nonce, text) = rest.split_at(12);
    let aad = b"wxgate session_key v1\x10\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x12wx1111111111111111\x06oAlice";
    let plain = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).unwrap());
    let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
    let mut text = text.to_vec();
    assert_eq!(plain.open_in_place(nonce, Aad::from(aad), &mut text).unwrap(), TEXT.as_bytes());
}

/// Sealed in advance by another program (Python's `cryptography`): what is in the stores today opens tomorrow.
#[test]
fn what_was_sealed_long_ago_opens() {
    let sealed = "AQcyMDI2LTExZGVmZ2hpamtsbW5vDoZl54kbX1/SxBA7H40DR3KRxfJSQWTlmHEUkc4ZejjfRI1E89V4tA==";
    let sealed = STANDARD.decode(sealed).unwrap();
    assert_eq!(open(&seal_of([key("2026-11")]), &sealed, &alice()).unwrap(), TEXT);
}

#[test]
fn no_nonce_comes_twice() {
    const TIMES: usize = 100_000;
    let seal = seal_of([key("k")]);
    let nonces: HashSet<_> = (0..TIMES).map(|_| sealed(&seal, &alice())[3..15].to_vec()).collect();
    assert_eq!(nonces.len(), TIMES);
}

#[test]
fn nothing_that_prints_shows_a_key() {
    let seal = seal_of([key("2026-11")]);
    let printed = format!("{seal:?} {seal:#?} {:?} {}", key("2026-11"), Unreadable::NotSealed);
    assert!(printed.contains("2026-11"), "{printed}");
    // 0x42, 0x8a as numbers, in hex, and in base64.
    for part in ["66, 138", "428a", "428A", "Qoov"] {
        assert!(!printed.contains(part), "{printed}");
    }
}

#[test]
fn a_key_is_32_random_bytes_in_one_of_four_spellings() {
    let seal = seal_of([key("k")]);
    let whole = sealed(&seal, &alice());
    let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = STANDARD.encode(KEY);
    let url = base64.replace('+', "-").replace('/', "_");
    for text in [&hex, &hex.to_uppercase(), &base64, &url, &url.replace('=', ""), &format!("{hex}\n")] {
        let read = SealKey::parse("k", text.as_bytes()).unwrap();
        assert_eq!(open(&seal_of([read]), &whole, &alice()).unwrap(), TEXT);
    }
    assert_eq!(generate_seal_key().expose_secret().len(), 44);
}

#[test]
fn what_is_no_random_key_is_refused() {
    let refusal = |material: &[u8]| SealKey::parse("k", material).unwrap_err();
    for material in [b"".as_slice(), b"short", &KEY[..31], &[KEY.as_slice(), &[7]].concat()] {
        assert_eq!(refusal(material), SealKeyError::NotAKey, "{material:?}");
    }
    assert_eq!(
        refusal(b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END"),
        SealKeyError::NotAKey
    );
    assert_eq!(refusal(STANDARD.encode(&KEY[..16]).as_bytes()), SealKeyError::NotAKey);
    assert_eq!(refusal(b"428a2f98713744914f1bc53a9d20e687"), SealKeyError::HexTooShort);
    let counted: Vec<u8> = (0..32).collect();
    let odd: Vec<u8> = (0..32).map(|n| n * 7).collect();
    for pattern in [&[0; 32], &[0xff; 32], b"abcdefghabcdefghabcdefghabcdefgh", counted.as_slice(), &odd] {
        assert_eq!(refusal(pattern), SealKeyError::Weak, "{pattern:?}");
        assert_eq!(refusal(STANDARD.encode(pattern).as_bytes()), SealKeyError::Weak, "{pattern:?}");
    }
    assert_eq!(SealKey::parse("", &KEY).unwrap_err(), SealKeyError::Kid);
    assert_eq!(SealKey::parse(&"k".repeat(256), &KEY).unwrap_err(), SealKeyError::Kid);
    assert_eq!(Seal::new(vec![]).unwrap_err(), SealKeyError::NoKey);
    assert_eq!(
        Seal::new(vec![key("a"), other_key("a")]).unwrap_err(),
        SealKeyError::SameKid { kid: "a".into() }
    );
}

#[test]
fn what_an_ephemeral_seal_sealed_is_its_own() {
    let (one, other) = (Seal::ephemeral(), Seal::ephemeral());
    let sealed = sealed(&one, &alice());
    assert_eq!(open(&one, &sealed, &alice()).unwrap(), TEXT);
    assert_eq!(open(&other, &sealed, &alice()), Err(Unreadable::NotSealed));
}
