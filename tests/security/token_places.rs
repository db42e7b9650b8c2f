//! Group E, places: where a request may carry a token, and how many.

use serde_json::json;

use super::case;
use super::warm::{CACHES, Warm, api, bearer};
use crate::harness::tokens::signed;
use crate::harness::{MERCHANT, SHOP, exchange};

#[tokio::test]
async fn a_request_has_one_token_in_a_place_that_the_config_names() {
    for cache in CACHES {
        let mut warm = Warm::start(cache).await;
        let (good, bob) = (warm.good.clone(), warm.gateway.log_in(&SHOP, "bob").await);
        {
            let _case = case("E19", "one header line holds one token and nothing else");
            for (line, code) in [
                (format!("Bearer {good}, Bearer x"), "token_invalid"),
                (format!("Bearer {good},"), "token_invalid"),
                (format!("Bearer {good} extra"), "token_invalid"),
                (format!("Bearer {good}, Bearer {good}"), "token_malformed"),
                (format!("Bearer Bearer {good}"), "token_malformed"),
                (format!("Bearer  {good}"), "token_malformed"),
                (format!("Bearer \"{good}\""), "token_malformed"),
                ("Bearer".to_owned(), "token_malformed"),
                (format!("Basic x, Bearer {good}"), "token_missing"),
                (good.clone(), "token_missing"),
            ] {
                warm.refuses_lines(&line, &format!("Authorization: {line}\r\n"), code).await;
            }
        }
        {
            let _case = case(
                "E20",
                "two different tokens in one request are refused, whichever is good; the same one twice passes",
            );
            let forged = signed(json!({ "aud": MERCHANT.appid }));
            for (name, other) in
                [("another's", bob.as_str()), ("a forged one", &forged), ("garbage", "x.y.z")]
            {
                for lines in [bearer(&good) + &bearer(other), bearer(other) + &bearer(&good)] {
                    warm.refuses_lines(name, &lines, "ambiguous_credentials").await;
                }
                let request =
                    format!("GET /q/x?token={other} HTTP/1.1\r\nHost: gw.test\r\n{}\r\n", bearer(&good));
                warm.refuses_request(name, &request, "401 ambiguous_credentials").await;
            }
            let request = format!("GET /q/x?token={good}&token={bob} HTTP/1.1\r\nHost: gw.test\r\n\r\n");
            warm.refuses_request("two in the query", &request, "401 ambiguous_credentials").await;
            let same = format!(
                "GET /q/x?token={good}&token={good} HTTP/1.1\r\nHost: gw.test\r\n{0}{0}\r\n",
                bearer(&good)
            );
            let answer = exchange(warm.gateway.port, same).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert_eq!(warm.recorder.last().one("x-wx-openid"), warm.openid);
            // A cookie is no place for a token: what stands in it changes nothing.
            let cookie = api(&format!("{}Cookie: token={bob}; authorization={bob}\r\n", bearer(&good)));
            let answer = exchange(warm.gateway.port, cookie).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert_eq!(warm.recorder.last().one("x-wx-openid"), warm.openid);
        }
        let _case = case(
            "E21",
            "a token is looked for where the config says: not in the query of other routes, a body, a cookie or another header",
        );
        let request = |line: &str, lines: &str, body: &str| {
            format!("{line} HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n{body}")
        };
        let form = format!("token={good}");
        let length =
            format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", form.len());
        for (name, request, verdict) in [
            ("the query", request(&format!("GET /api/x?token={good}"), "", ""), "401 token_missing"),
            (
                "the query, other names",
                request(&format!("GET /q/x?Token={good}&access_token={good}"), "", ""),
                "401 token_missing",
            ),
            ("a fragment", request(&format!("GET /api/x#token={good}"), "", ""), "400 bad_target"),
            ("a body", request("POST /api/x", &length, &form), "401 token_missing"),
            (
                "a cookie",
                request("GET /api/x", &format!("Cookie: token={good}\r\n"), ""),
                "401 token_missing",
            ),
            (
                "other headers",
                request(
                    "GET /api/x",
                    &format!(
                        "X-Token: {good}\r\nProxy-Authorization: Bearer {good}\r\nX-Authorization: Bearer {good}\r\n"
                    ),
                    "",
                ),
                "401 token_missing",
            ),
        ] {
            warm.refuses_request(name, &request, verdict).await;
        }
        // That no log line shows one, where the query is a place too, is held when the process ends.
        let answer = exchange(warm.gateway.port, request(&format!("GET /q/x?token={good}"), "", "")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(warm.recorder.last().target(), "/q/x");
    }
}
