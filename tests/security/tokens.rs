//! Group E, the form of a token: segments, base64url, JSON, size.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::json;

use super::case;
use super::warm::{CACHES, Warm};
use crate::harness::SHOP;
use crate::harness::gateway::KEY;
use crate::harness::tokens::{claims, compact, hmac_by, now};

const HEADER: &str = r#"{"alg":"HS256","kid":"test","typ":"JWT"}"#;

/// A token of this payload with a good signature.
fn payload(payload: impl AsRef<[u8]>) -> String {
    compact(HEADER, payload, hmac_by(KEY.as_bytes()))
}

/// The three segments of a token.
fn segments(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// The same bytes in another spelling: the last character holds bits that nobody reads.
fn respelled(segment: &str) -> Option<String> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let spare = match segment.len() % 4 {
        2 => 0b1111,
        3 => 0b11,
        _ => return None,
    };
    let (rest, last) = segment.split_at(segment.len() - 1);
    let at = alphabet.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
    assert_eq!(at & spare, 0, "the spelling was not canonical before");
    Some(format!("{rest}{}", char::from(alphabet[at | 1])))
}

#[tokio::test]
async fn what_is_not_three_good_segments_is_no_token() {
    for cache in CACHES {
        let mut warm = Warm::start(cache).await;
        let good = warm.good.clone();
        let [header, claims, signature] = segments(&good);
        let malformed = "token_malformed";
        {
            let _case = case(
                "E01",
                "no token is `token_missing`, and what is not three segments with a signature is refused before it is used",
            );
            warm.refuses_lines("none", "", "token_missing").await;
            warm.refuses_lines("another scheme", "Authorization: Basic YTpi\r\n", "token_missing").await;
            for wrong in
                ["garbage", "undefined", "null", "a.b", "a.b.c", "a.b.c.d", "..", ".", "...", "\u{7f6e}"]
            {
                warm.refuses(wrong, wrong, malformed).await;
            }
            for (name, wrong) in [
                ("no signature", format!("{header}.{claims}")),
                ("no header", format!(".{claims}.{signature}")),
                ("a dot more", format!("{good}.")),
                ("a segment more", format!("{good}.{signature}")),
                ("a dot before", format!(".{good}")),
            ] {
                warm.refuses(name, &wrong, malformed).await;
            }
            for (name, wrong) in [
                ("an empty signature", format!("{header}.{claims}.")),
                ("an empty payload", format!("{header}..{signature}")),
            ] {
                warm.refuses(name, &wrong, "token_invalid").await;
            }
        }
        {
            let _case = case(
                "E04",
                "a payload or header other than the signed one is refused, also right after the true token on its connection",
            );
            let bob = warm.gateway.log_in(&SHOP, "bob").await;
            let other = segments(&bob);
            let changed = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"test"}"#);
            for (name, wrong) in [
                ("another's payload", format!("{header}.{}.{signature}", other[1])),
                ("another's signature", format!("{header}.{claims}.{}", other[2])),
                ("the header in other words", format!("{changed}.{claims}.{signature}")),
            ] {
                warm.refuses(name, &wrong, "token_invalid").await;
            }
        }
        warm.stands();
    }
}

#[tokio::test]
async fn a_segment_has_one_spelling() {
    for cache in CACHES {
        let mut warm = Warm::start(cache).await;
        let _case = case(
            "E03",
            "base64url without padding in its one canonical spelling: another text of the same bytes never passes, \
             so none outlives a logout",
        );
        let ec = compact(r#"{"alg":"ES256","kid":"p1"}"#, claims(json!({})).to_string(), |m| warm.keys.ec(m));
        let ed = compact(r#"{"alg":"EdDSA","kid":"ed"}"#, claims(json!({})).to_string(), |m| warm.keys.ed(m));
        let good = warm.good.clone();
        for token in [&good, &ec, &ed] {
            warm.passes("a good token", token).await;
            let [header, claims, signature] = segments(token);
            let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let forms = [
                "@@@@".to_owned(),
                URL_SAFE.encode(&bytes),
                STANDARD.encode(&bytes),
                format!("{signature}A"),
                format!("{signature}AAAA"),
                format!("{signature}%3D"),
                signature[..signature.len() - 1].to_owned(),
                format!("{} {}", &signature[..8], &signature[8..]),
                respelled(signature).unwrap(),
            ];
            for form in forms {
                warm.refuses(&form, &format!("{header}.{claims}.{form}"), "token_invalid").await;
            }
        }
        // Only the holder of the key could sign these; they are refused all the same.
        let sign = hmac_by(KEY.as_bytes());
        let words = claims(json!({})).to_string();
        let padded = |header: &str, payload: &str| {
            let message = format!("{header}.{payload}");
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(sign(message.as_bytes())))
        };
        let (head, body) = (URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(words + "  "));
        for (name, token) in [
            ("a padded header", padded(&format!("{head}=="), &body)),
            ("a padded payload", padded(&head, &format!("{body}="))),
            ("a respelled header", padded(&respelled(&head).unwrap_or_else(|| format!("{head}A")), &body)),
            ("a payload of other letters", padded(&head, &format!("{body}@@@@"))),
        ] {
            warm.refuses(name, &token, "token_malformed").await;
        }
        for (end, code) in [("%0A", "token_invalid"), ("%0D%0A", "token_invalid"), ("%00", "token_invalid")] {
            let request = format!("GET /q/x?token={good}{end} HTTP/1.1\r\nHost: gw.test\r\n\r\n");
            warm.refuses_request(end, &request, &format!("401 {code}")).await;
        }
        // A logout ends the session, and with it whatever text names it.
        assert_eq!(warm.gateway.post("/logout").bearer_auth(&good).send().await.unwrap().status(), 204);
        warm.good = warm.gateway.log_in(&SHOP, "alice").await;
        warm.refuses("after the logout", &good, "session_ended").await;
        let signature = segments(&good)[2];
        let other = good.replace(signature, &respelled(signature).unwrap());
        warm.refuses("respelled, after the logout", &other, "token_invalid").await;
    }
}

#[tokio::test]
async fn a_payload_is_one_json_object_without_doubles() {
    for cache in CACHES {
        let mut warm = Warm::start(cache).await;
        let _case = case(
            "E13",
            "a payload is one JSON object in UTF-8 whose known members stand in it once, and so is a header",
        );
        let good = claims(json!({})).to_string();
        warm.passes("the same claims by hand", &payload(&good)).await;
        let twice = |member: &str| good.replacen('{', &format!("{{{member},"), 1);
        let deep = |claim: &str, depth: usize| {
            twice(&format!("\"{claim}\":{}1{}", "[".repeat(depth), "]".repeat(depth)))
        };
        // A claim that nobody reads may be anything that a token can hold: it is skipped without recursion.
        warm.passes("1 200 brackets in a claim that nobody reads", &payload(deep("x", 1_200))).await;
        let in_order =
            json!(["wxgate", "oA", SHOP.appid, now(), now() + 600, "BwcHBwcHBwcHBwcHBwcHBw", "login"]);
        for text in [
            "[]",
            "\"oA\"",
            "1",
            "null",
            "true",
            "",
            "{}",
            "{",
            &format!("[{good}]"),
            &in_order.to_string(),
            &format!("{good}{good}"),
            &format!("{good}x"),
            &twice(r#""sub":"oB""#),
            &twice(r#""exp":9999999999"#),
            &twice(r#""typ":"login""#),
            &twice(r#""s\u0075b":"oB""#),
            &deep("unionid", 1_200),
            &deep("x", 10_000),
        ] {
            warm.refuses(&text[..text.len().min(80)], &payload(text), "token_malformed").await;
        }
        let not_utf8 = [b"\xef\xbb\xbf".as_slice(), good.as_bytes()].concat();
        warm.refuses("a byte order mark", &payload(not_utf8), "token_malformed").await;
        for bytes in [b"\xff".as_slice(), b"\xc0\xaf", b"\xed\xa0\x80"] {
            let text = good.replace("oForged", "oF*").into_bytes();
            let at = text.iter().position(|byte| *byte == b'*').unwrap();
            let wrong = [&text[..at], bytes, &text[at + 1..]].concat();
            warm.refuses("not UTF-8", &payload(wrong), "token_malformed").await;
        }
        for header in [
            r#"{"alg":"none","alg":"HS256","kid":"test"}"#,
            r#"{"alg":"HS256","kid":"ed","kid":"test"}"#,
            r#"{"alg":"HS256","kid":"test","\u0061lg":"none"}"#,
            r#"["HS256","test"]"#,
            r#""HS256""#,
            "null",
        ] {
            let token = compact(header, &good, hmac_by(KEY.as_bytes()));
            warm.refuses(header, &token, "token_malformed").await;
        }
        warm.stands();
    }
}

#[tokio::test]
async fn what_is_another_kind_of_thing_or_too_long_is_no_token() {
    for cache in CACHES {
        let mut warm = Warm::start_with(cache, "[server]\nheader_bytes_max = \"1MiB\"\n").await;
        let good = warm.good.clone();
        let [header, claims, signature] = segments(&good);
        {
            let _case = case("E16", "an encrypted token, or a signature in JSON, is no token of ours");
            let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
            let unsigned = format!("{}.{claims}.", part(r#"{"alg":"none"}"#));
            let json = json!({ "payload": claims, "protected": header, "signature": signature });
            let loose = json!({ "payload": claims, "header": { "alg": "HS256", "kid": "test" }, "signature": signature });
            for (name, token) in [
                (
                    "five parts",
                    format!(
                        "{}.{}.{}.{}.{}",
                        part(r#"{"alg":"dir","enc":"A256GCM"}"#),
                        "",
                        part("iv"),
                        part("x"),
                        part("tag")
                    ),
                ),
                (
                    "an unsigned token inside",
                    format!(
                        "{}..{}.{}.{}",
                        part(r#"{"alg":"dir","enc":"A256GCM","cty":"JWT"}"#),
                        part("iv"),
                        part(&unsigned),
                        part("tag")
                    ),
                ),
                ("five parts under our header", format!("{good}.{}.{}", part("x"), part("tag"))),
                ("JSON", json.to_string()),
                ("JSON, its header unprotected", loose.to_string()),
                ("JSON, several signatures", json!({ "payload": claims, "signatures": [json] }).to_string()),
            ] {
                warm.refuses(name, &token, "token_malformed").await;
            }
        }
        let _case = case(
            "E17",
            "a token longer than any of ours, or packed, is refused before a byte of it is decoded",
        );
        let long = |bytes: usize| format!("{header}.{}.{signature}", "A".repeat(bytes));
        for bytes in [4_096, 8 << 10, 64 << 10, 900 << 10] {
            warm.refuses(&format!("{bytes} bytes"), &long(bytes), "token_malformed").await;
        }
        for dots in [4_000, 1_000_000] {
            warm.refuses(&format!("{dots} dots"), &".".repeat(dots), "token_malformed").await;
        }
        let packed = compact(r#"{"alg":"HS256","kid":"test","zip":"DEF"}"#, "{}", hmac_by(KEY.as_bytes()));
        warm.refuses("packed", &packed, "token_malformed").await;
        warm.stands();
    }
}
