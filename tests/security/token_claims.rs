//! Group E, claims: each is there, of its type, and says the right thing.

use serde_json::{Value, json};

use super::case;
use super::warm::{CACHES, Warm, bearer};
use crate::harness::gateway::KEY;
use crate::harness::tokens::{claims, compact, hmac_by, now, signed};
use crate::harness::{MERCHANT, SHOP};

const LEEWAY: &str = "leeway = \"60s\"\n";

/// Good claims with the value of one written by hand: not everything that a token may hold is JSON of ours.
fn with_text(claim: &str, value: &str) -> String {
    let text = claims(json!({ claim: "*" })).to_string().replace("\"*\"", value);
    compact(r#"{"alg":"HS256","kid":"test"}"#, text, hmac_by(KEY.as_bytes()))
}

fn with(claim: &str, value: Value) -> String {
    let mut claims = claims(json!({}));
    claims[claim] = value;
    compact(r#"{"alg":"HS256","kid":"test"}"#, claims.to_string(), hmac_by(KEY.as_bytes()))
}

#[tokio::test]
async fn times_are_whole_seconds_and_are_checked() {
    for cache in CACHES {
        let mut warm = Warm::start_with(cache, LEEWAY).await;
        {
            let _case = case(
                "E08",
                "a token without an end, or with an end that is no number, is refused: malformed is not the same as absent",
            );
            for claim in ["exp", "iat"] {
                warm.refuses(&format!("no {claim}"), &signed(json!({ claim: null })), "token_malformed")
                    .await;
            }
            for claim in ["exp", "iat", "nbf"] {
                for text in [
                    "\"abc\"",
                    "\"1e99\"",
                    "\"9999999999\"",
                    "null",
                    "{}",
                    "[]",
                    "true",
                    "1e308",
                    "NaN",
                    "Infinity",
                    "\"\"",
                    "[9999999999]",
                ] {
                    warm.refuses(&format!("{claim}: {text}"), &with_text(claim, text), "token_malformed")
                        .await;
                }
            }
        }
        {
            let _case = case(
                "E09",
                "an end that is negative, fractional, past any number, or further off than a token may live is refused",
            );
            let late = (now() + 31 * 86_400).to_string();
            for text in [
                "-1",
                "0",
                "-0",
                "9007199254740992",
                "9223372036854775808",
                "18446744073709551615",
                "18446744073709551616",
                "1.5",
                "9999999999.0",
                "1e10",
                &late,
            ] {
                warm.refuses(&format!("exp: {text}"), &with_text("exp", text), "token_malformed").await;
            }
            for text in ["-1", "0", "1", "1.5", "18446744073709551616"] {
                warm.refuses(&format!("iat: {text}"), &with_text("iat", text), "token_malformed").await;
            }
            warm.refuses(
                "it ends as it begins",
                &signed(json!({ "exp": now() - 5, "iat": now() - 5 })),
                "token_malformed",
            )
            .await;
            warm.refuses(
                "from the end of time",
                &with_text("nbf", "18446744073709551615"),
                "token_not_yet_valid",
            )
            .await;
        }
        let _case = case(
            "E10",
            "a token ends when its end and the leeway are past, to the second, and one from the future does not pass, by iat or by nbf",
        );
        let ended = |ago: u64| signed(json!({ "iat": now() - 3600, "exp": now() - ago }));
        for (name, token) in [
            ("a second beyond the leeway", ended(61)),
            ("exactly the leeway ago", ended(60)),
            ("an hour ago", signed(json!({ "iat": now() - 7200, "exp": now() - 3600 }))),
        ] {
            warm.refuses(name, &token, "token_expired").await;
        }
        warm.passes("within the leeway", &ended(20)).await;
        for (name, change) in [
            ("made in an hour", json!({ "iat": now() + 3600, "exp": now() + 7200 })),
            ("valid in an hour", json!({ "nbf": now() + 3600, "exp": now() + 7200 })),
            ("valid after its end", json!({ "nbf": now() + 86_400 })),
        ] {
            warm.refuses(name, &signed(change), "token_not_yet_valid").await;
        }
        warm.passes(
            "made by a clock a little ahead",
            &signed(json!({ "iat": now() + 20, "nbf": now() + 20 })),
        )
        .await;
        warm.stands();
    }
}

#[tokio::test]
async fn app_issuer_and_openid_are_what_they_must_be() {
    for cache in CACHES {
        let mut warm = Warm::start_with(cache, "[server]\nheader_bytes_max = \"1MiB\"\n").await;
        {
            let _case = case(
                "E11",
                "a token is for one configured app, named as a text; a route of one app takes no other's",
            );
            warm.refuses("no aud", &signed(json!({ "aud": null })), "token_malformed").await;
            let (shop, merchant) = (SHOP.appid, MERCHANT.appid);
            for wrong in [
                json!([shop, "wx3333333333333333"]),
                json!([shop]),
                json!([]),
                json!({}),
                json!(5),
                json!(null),
                json!(true),
            ] {
                warm.refuses(&format!("aud: {wrong}"), &with("aud", wrong), "token_malformed").await;
            }
            for wrong in [
                "",
                "wx3333333333333333",
                "wx1111111111111111 ",
                "WX1111111111111111",
                "wx11111111111111111",
                "wx111111111111111",
                "shop",
                "*",
            ] {
                warm.refuses(&format!("aud: {wrong}"), &with("aud", json!(wrong)), "token_wrong_app").await;
            }
            let theirs = warm.gateway.log_in(&MERCHANT, "alice").await;
            for token in [theirs, signed(json!({ "aud": merchant }))] {
                warm.passes("any app's route", &token).await;
                let request = format!("GET /shop/x HTTP/1.1\r\nHost: gw.test\r\n{}\r\n", bearer(&token));
                warm.refuses_request("another app's route", &request, "403 app_not_allowed").await;
            }
        }
        {
            let _case =
                case("E12", "the issuer is ours and the openid is a text that WeChat could have given");
            for claim in ["iss", "sub", "sid"] {
                warm.refuses(&format!("no {claim}"), &signed(json!({ claim: null })), "token_malformed")
                    .await;
                for wrong in
                    [json!(5), json!(null), json!([]), json!(["oA"]), json!({ "oA": 1 }), json!(true)]
                {
                    warm.refuses(&format!("{claim}: {wrong}"), &with(claim, wrong), "token_malformed").await;
                }
            }
            for wrong in ["other", ""] {
                warm.refuses(
                    &format!("iss: {wrong}"),
                    &signed(json!({ "iss": wrong })),
                    "token_wrong_issuer",
                )
                .await;
            }
            for bytes in [129, 2_000, 20_000, 700_000] {
                warm.refuses(
                    &format!("sub of {bytes} bytes"),
                    &signed(json!({ "sub": "o".repeat(bytes) })),
                    "token_malformed",
                )
                .await;
            }
            for wrong in ["", "short", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAAAA"] {
                warm.refuses(&format!("sid: {wrong}"), &signed(json!({ "sid": wrong })), "token_malformed")
                    .await;
            }
        }
        {
            let _case = case(
                "E14",
                "only a login token is one: a token of another purpose under the same key is refused",
            );
            for typ in ["refresh", "access", "assertion", "state", "id", "JWT", "at+jwt", ""] {
                warm.refuses(&format!("typ: {typ}"), &signed(json!({ "typ": typ })), "token_wrong_type")
                    .await;
            }
            warm.refuses("no typ", &signed(json!({ "typ": null })), "token_malformed").await;
        }
        look_alikes(&mut warm).await;
        warm.stands();
    }
}

async fn look_alikes(warm: &mut Warm) {
    let _case = case(
        "E25",
        "a claim is compared as it stands, type and text: nothing is trimmed, folded or taken out of a list",
    );
    for (claim, value, code) in [
        ("typ", json!("Login"), "token_wrong_type"),
        ("typ", json!("login "), "token_wrong_type"),
        ("typ", json!(" login"), "token_wrong_type"),
        ("typ", json!("log\u{456}n"), "token_wrong_type"),
        ("typ", json!(["login"]), "token_malformed"),
        ("typ", json!("login\u{0}"), "token_malformed"),
        ("iss", json!("Wxgate"), "token_wrong_issuer"),
        ("iss", json!("wxgate/"), "token_wrong_issuer"),
        ("iss", json!("wxgate@wxgate"), "token_wrong_issuer"),
        ("iss", json!(["wxgate"]), "token_malformed"),
        ("sub", json!("oA@evil@ok"), "token_malformed"),
        ("sub", json!("oA "), "token_malformed"),
        ("sub", json!("oA,oB"), "token_malformed"),
        ("sub", json!("o\u{410}"), "token_malformed"),
        ("sub", json!("oA\r\nX-Wx-Openid: oB"), "token_malformed"),
        ("sub", json!("oA\u{0}"), "token_malformed"),
        ("unionid", json!("uA uB"), "token_malformed"),
        ("unionid", json!(""), "token_malformed"),
        ("unionid", json!(["uA"]), "token_malformed"),
        ("unionid", json!(null), "token_malformed"),
    ] {
        warm.refuses(&format!("{claim}: {value}"), &with(claim, value), code).await;
    }
    // A claim that only looks like one of ours is none.
    let extra = signed(json!({ "Sub": "oB", "openid": "oB", "sub ": "oB", "role": "admin" }));
    assert_eq!(warm.passes("claims that mean nothing here", &extra).await, "oForged");
}

#[tokio::test]
async fn a_good_signature_does_not_outlive_its_session() {
    for cache in CACHES {
        let mut warm = Warm::start(cache).await;
        let _case = case(
            "E26",
            "a token of a session that was ended is refused though its signature and its time are good",
        );
        let gone = warm.gateway.log_in(&SHOP, "bob").await;
        let openid = warm.passes("before the logout", &gone).await;
        assert_eq!(warm.gateway.post("/logout").bearer_auth(&gone).send().await.unwrap().status(), 204);
        warm.refuses("after the logout", &gone, "session_ended").await;
        // Any other token that names the session is refused as well.
        let payload = gone.split('.').nth(1).unwrap();
        let payload =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
        let header = r#"{"kid":"test","alg":"HS256"}"#;
        let again = compact(header, payload, hmac_by(KEY.as_bytes()));
        warm.refuses("the same session, signed anew", &again, "session_ended").await;
        // It is the session that ended, not the user.
        let next = warm.gateway.log_in(&SHOP, "bob").await;
        assert_eq!(warm.passes("the next login", &next).await, openid);
    }
}
