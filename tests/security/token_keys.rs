//! Group E, keys and algorithms: who signed, and who says so.

use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::case;
use super::warm::{CACHES, Keys, Warm};
use crate::harness::gateway::KEY;
use crate::harness::tokens::{claims, compact, hmac_by};
use crate::harness::{Recorder, SHOP};

/// Good claims under this header.
fn token(header: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    compact(header.to_string(), claims(json!({})).to_string(), sign)
}

fn by_test_key(message: &[u8]) -> Vec<u8> {
    hmac_by(KEY.as_bytes())(message)
}

#[tokio::test]
async fn the_algorithm_belongs_to_the_key() {
    for cache in CACHES {
        let mut warm = Warm::start(cache).await;
        {
            let _case = case(
                "E02",
                "a token that names no algorithm, or `none` in any spelling, is refused whatever its signature",
            );
            for alg in ["none", "None", "nOnE", "NONE", "", "none ", "HS256 ", "hs256"] {
                let header = json!({ "alg": alg, "kid": "test" });
                for signature in [vec![], vec![7; 32], by_test_key(b"x")] {
                    warm.refuses(alg, &token(&header, |_| signature), "token_invalid").await;
                }
                warm.refuses(alg, &token(&header, by_test_key), "token_invalid").await;
            }
            for header in [
                json!({ "kid": "test" }),
                json!({ "alg": null, "kid": "test" }),
                json!({ "alg": 256, "kid": "test" }),
                json!({ "alg": ["HS256"], "kid": "test" }),
                json!({ "alg": {}, "kid": "test" }),
                json!({ "ALG": "HS256", "kid": "test" }),
                json!({}),
            ] {
                warm.refuses(&header.to_string(), &token(&header, |_| vec![]), "token_malformed").await;
                warm.refuses(&header.to_string(), &token(&header, by_test_key), "token_malformed").await;
            }
        }
        {
            let _case = case(
                "E05",
                "what everybody can fetch is no HMAC secret: a public key in any writing signs nothing, under no name",
            );
            for (name, secret) in public_writings(&warm).await {
                for kid in ["p1", "ed", "test"] {
                    let header = json!({ "alg": "HS256", "kid": kid, "typ": "JWT" });
                    warm.refuses(
                        &format!("{name}, {kid}"),
                        &token(&header, hmac_by(&secret)),
                        "token_invalid",
                    )
                    .await;
                }
            }
        }
        other_algorithms(&mut warm).await;
        warm.stands();
    }
}

/// The public halves of the gateway's keys in every writing that somebody might sign with.
async fn public_writings(warm: &Warm) -> Vec<(String, Vec<u8>)> {
    let set = warm.gateway.get("/.well-known/jwks.json").send().await.unwrap().text().await.unwrap();
    let jwks: Value = serde_json::from_str(&set).unwrap();
    let point = warm.keys.ec.public_key().as_ref();
    let ec = [b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00".as_slice(), point].concat();
    let raw = warm.keys.ed.public_key().as_ref();
    let ed = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".as_slice(), raw].concat();
    let mut writings = vec![("the key set".to_owned(), set.into_bytes()), ("nothing".to_owned(), vec![])];
    for (kid, der, bytes) in [("p1", ec, point), ("ed", ed, raw)] {
        let jwk = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap();
        let pem = pem(&der);
        for (name, secret) in [
            ("PEM", pem.clone()),
            ("PEM without its last line break", pem.trim_end().to_owned()),
            ("PEM of Windows", pem.replace('\n', "\r\n")),
            ("PEM with space around it", format!("\n {pem}\n")),
            ("PEM in one line", pem.replace('\n', "")),
            ("a JWK", jwk.to_string()),
            ("base64", STANDARD.encode(&der)),
            ("the coordinate", jwk["x"].as_str().unwrap().to_owned()),
        ] {
            writings.push((format!("{name} of {kid}"), secret.into_bytes()));
        }
        writings.push((format!("DER of {kid}"), der));
        writings.push((format!("bytes of {kid}"), bytes.to_vec()));
    }
    writings
}

fn pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

async fn other_algorithms(warm: &mut Warm) {
    let _case = case(
        "E06",
        "a key verifies with its own algorithm alone and takes no signature of zeros; \
         the twin of an ECDSA signature names the same session and ends with it",
    );
    for (kid, own, sign) in [
        ("p1", "ES256", Keys::ec as fn(&Keys, &[u8]) -> Vec<u8>),
        ("ed", "EdDSA", Keys::ed),
        ("test", "HS256", |_, message| by_test_key(message)),
    ] {
        let mine = token(&json!({ "alg": own, "kid": kid }), |message| sign(&warm.keys, message));
        assert_eq!(warm.passes(kid, &mine).await, "oForged");
        for alg in
            ["HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "ES384", "ES256K", "EdDSA", "Ed25519"]
        {
            if alg != own {
                let swapped = token(&json!({ "alg": alg, "kid": kid }), |message| sign(&warm.keys, message));
                warm.refuses(&format!("{alg} for {kid}"), &swapped, "token_invalid").await;
            }
            for other in ["p1", "ed", "test"].into_iter().filter(|other| *other != kid) {
                let header = json!({ "alg": alg, "kid": other });
                let crossed = token(&header, |message| sign(&warm.keys, message));
                warm.refuses(&format!("{alg} for {other}, signed by {kid}"), &crossed, "token_invalid").await;
            }
        }
        for zeros in [0, 1, 32, 63, 64, 65, 96, 128] {
            let blank = token(&json!({ "alg": own, "kid": kid }), |_| vec![0; zeros]);
            warm.refuses(&format!("{zeros} zeros for {kid}"), &blank, "token_invalid").await;
        }
    }
    let header = json!({ "alg": "ES256", "kid": "p1" });
    for (r, s) in [([0; 32], ORDER), (ORDER, [0; 32]), (ORDER, ORDER), ([255; 32], [255; 32])] {
        let edge = token(&header, |_| [r, s].concat());
        warm.refuses("a number of the curve's order", &edge, "token_invalid").await;
    }
    let in_der = token(&header, |message| der(&warm.keys.ec(message)));
    warm.refuses("a signature in DER", &in_der, "token_invalid").await;

    // RFC 7518 knows no low S: both twins are signatures. They name one session, so one logout ends both.
    let signed = warm.keys.ec(b"");
    assert_eq!(signed.len(), 64);
    let login = session_of(&warm.gateway.log_in(&SHOP, "carol").await);
    let body = claims(json!({ "sid": login })).to_string();
    let mut first = Vec::new();
    let one = compact(header.to_string(), &body, |message| {
        first = warm.keys.ec(message);
        first.clone()
    });
    let two = compact(header.to_string(), &body, |_| twin(&first));
    assert_ne!(one, two);
    for token in [&one, &two] {
        warm.passes("a twin", token).await;
    }
    assert_eq!(warm.gateway.post("/logout").bearer_auth(&one).send().await.unwrap().status(), 204);
    for token in [&one, &two] {
        warm.refuses("a twin, after the logout", token, "session_ended").await;
    }
}

/// The order of P-256.
const ORDER: [u8; 32] = *b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";

/// The other signature of the same message: (r, order - s).
fn twin(signature: &[u8]) -> Vec<u8> {
    let mut twin = signature.to_vec();
    let mut borrow = false;
    for at in (0..32).rev() {
        let (digit, under) = ORDER[at].overflowing_sub(signature[32 + at]);
        let (digit, under_again) = digit.overflowing_sub(u8::from(borrow));
        (twin[32 + at], borrow) = (digit, under || under_again);
    }
    twin
}

/// The same two numbers as a DER sequence of integers.
fn der(signature: &[u8]) -> Vec<u8> {
    let numbers = signature.chunks(32).flat_map(|number| [&[2, 33, 0], number].concat());
    let numbers: Vec<_> = numbers.collect();
    [&[0x30, u8::try_from(numbers.len()).unwrap()], &numbers[..]].concat()
}

fn session_of(token: &str) -> String {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    claims["sid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_header_names_a_key_and_brings_none() {
    for cache in CACHES {
        let mut warm = Warm::start(cache).await;
        // Whoever followed an address in a header would be seen here.
        let elsewhere = Recorder::start().await;
        let url = format!("http://127.0.0.1:{}/keys", elsewhere.port);
        {
            let _case = case(
                "E07",
                "a kid is looked up among the configured keys and nowhere else: no file, no address, no default",
            );
            for kid in [
                "other",
                "",
                "TEST",
                "test ",
                "test\u{0}",
                "../../dev/null",
                "/dev/null",
                "k1' OR '1'='1",
                &url,
                &"k".repeat(2_000),
            ] {
                for sign in [hmac_by(b""), hmac_by(KEY.as_bytes())] {
                    let wrong = token(&json!({ "alg": "HS256", "kid": kid }), sign);
                    // What JSON must escape is no name of a key, and is not even looked up.
                    let code = if kid.contains('\u{0}') { "token_malformed" } else { "token_key_unknown" };
                    warm.refuses(kid, &wrong, code).await;
                }
            }
            let endless = token(&json!({ "alg": "HS256", "kid": "k".repeat(10 << 10) }), by_test_key);
            warm.refuses("10 KiB", &endless, "token_malformed").await;
            for header in [
                json!({ "alg": "HS256" }),
                json!({ "alg": "HS256", "kid": null }),
                json!({ "alg": "HS256", "kid": 5 }),
                json!({ "alg": "HS256", "kid": ["test"] }),
                json!({ "alg": "HS256", "kid": { "test": "test" } }),
            ] {
                warm.refuses(&header.to_string(), &token(&header, by_test_key), "token_malformed").await;
            }
            let empty = token(&json!({ "alg": "HS256", "kid": "test" }), hmac_by(b""));
            warm.refuses("signed with an empty key", &empty, "token_invalid").await;
        }
        {
            let _case = case(
                "E18",
                "a key or an address of one in the header is not looked at: no signature passes by it, and nobody is asked",
            );
            let theirs = [b'!'; 32];
            let oct = json!({ "kty": "oct", "kid": "test", "k": URL_SAFE_NO_PAD.encode(theirs) });
            for extra in [
                json!({ "jwk": oct }),
                json!({ "jku": url }),
                json!({ "x5u": url }),
                json!({ "x5c": [STANDARD.encode(theirs)] }),
                json!({ "x5t": "x", "x5t#S256": "x" }),
                json!({ "keys": [oct] }),
            ] {
                for (alg, kid, code) in [
                    ("HS256", "test", "token_invalid"),
                    ("HS256", "theirs", "token_key_unknown"),
                    ("ES256", "p1", "token_invalid"),
                ] {
                    let mut header = extra.clone();
                    (header["alg"], header["kid"]) = (json!(alg), json!(kid));
                    warm.refuses(&header.to_string(), &token(&header, hmac_by(&theirs)), code).await;
                }
            }
        }
        assert_eq!(elsewhere.connections(), 0, "a key was fetched from an address in a token");
        {
            let _case =
                case("E15", "a header that asks for an extension is refused, as none is understood here");
            for extra in [
                json!({ "crit": ["x"], "x": 1 }),
                json!({ "crit": ["exp"] }),
                json!({ "crit": ["b64"], "b64": true }),
                json!({ "crit": [] }),
                json!({ "crit": null }),
                json!({ "crit": "x" }),
                json!({ "b64": false }),
                json!({ "b64": true }),
                json!({ "b64": null }),
            ] {
                let mut header = extra.clone();
                (header["alg"], header["kid"]) = (json!("HS256"), json!("test"));
                warm.refuses(&header.to_string(), &token(&header, by_test_key), "token_malformed").await;
            }
        }
        warm.stands();
    }
}
