//! Group F: what the verification cache, and a connection that remembers its last caller, must not let through.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::case;
use super::warm::{CACHES, Warm, api, bearer, said};
use crate::harness::tokens::{now, signed};
use crate::harness::{Config, Connection, Gateway, MERCHANT, Recorder, SHOP, exchange, gateway, secret};

fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n")
}

#[tokio::test]
async fn a_cached_token_ends_with_its_time() {
    for cache in CACHES {
        let warm = Warm::start_with(cache, "leeway = \"0s\"\n").await;
        let _plain = case("F01", "a token that is in the cache ends in the second that it names");
        let _with_nbf = case(
            "F02",
            "so does one that names its beginning too: no life of a cache entry is longer than its token's",
        );
        let begun = json!({ "nbf": now() - 60, "sub": "oBegun" });
        join_all([json!({}), begun].map(|change| ends_in_its_second(warm.gateway.port, change))).await;
    }
}

/// Asks with one token, on one connection, until it is refused.
async fn ends_in_its_second(port: u16, mut change: Value) {
    let end = now() + 3;
    change["exp"] = json!(end);
    let token = signed(change);
    let mut connection = Connection::open(port).await;
    let mut passed = 0;
    let refused = loop {
        let before = now();
        let answer = connection.ask(api(&bearer(&token))).await;
        if !answer.starts_with("HTTP/1.1 200") {
            break answer;
        }
        assert!(before < end, "it passed at {before}, {} s after its end", before - end);
        passed += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(said(&refused), "401 token_expired");
    assert!(now() >= end, "it was refused before its end");
    assert!(passed > 1, "it was never known before it ended");
    assert_eq!(said(&exchange(port, api(&bearer(&token))).await), "401 token_expired");
}

#[tokio::test]
async fn a_cached_token_opens_only_the_routes_that_it_may() {
    for cache in CACHES {
        let mut warm = Warm::start(cache).await;
        let good = warm.good.clone();
        {
            let _case = case(
                "F03",
                "a verdict is about the token, the route is asked each time: one app's token that just passed opens no route of another app",
            );
            let refused = get("/merchant/x", &bearer(&good));
            warm.refuses_request("another app's route", &refused, "403 app_not_allowed").await;
            let theirs = warm.gateway.log_in(&MERCHANT, "alice").await;
            assert_ne!(warm.passes("the other app's token", &theirs).await, warm.openid);
            let refused = get("/shop/x", &bearer(&theirs));
            warm.refuses_request("the other way round", &refused, "403 app_not_allowed").await;
        }
        let _case = case(
            "F04",
            "a cached token meets the rule of every route anew: closed to all, and limited in number",
        );
        warm.refuses_request("a closed route", &get("/internal/x", &bearer(&good)), "403 access_denied")
            .await;
        let once = exchange(warm.gateway.port, get("/rare/x", &bearer(&good))).await;
        assert!(once.starts_with("HTTP/1.1 200"), "{once}");
        warm.refuses_request("a route at its limit", &get("/rare/x", &bearer(&good)), "429 rate_limited")
            .await;
        // And one without a rule is told nobody's name.
        let answer = exchange(warm.gateway.port, get("/public/x", &bearer(&good))).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(warm.recorder.last().all("x-wx-openid").is_empty());
    }
}

#[tokio::test]
async fn a_thousand_first_requests_of_two_callers_stay_apart() {
    for cache in CACHES {
        let warm = Warm::start(cache).await;
        let _case = case(
            "F05",
            "of two tokens that a thousand requests each bring for the first time, at once, no request gets the other's openid",
        );
        let tokens = ["oFirst", "oSecond"].map(|openid| (openid, signed(json!({ "sub": openid }))));
        let start = Arc::new(Barrier::new(2_000));
        let port = warm.gateway.port;
        let clients = (0..1_000).flat_map(|n| tokens.clone().map(|(openid, token)| (n, openid, token)));
        let clients = clients.map(|(n, openid, token)| {
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                let mut connection = Connection::open(port).await;
                start.wait().await;
                let answer = connection.ask(get(&format!("/api/{openid}/{n}"), &bearer(&token))).await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{openid}, {n}: {answer}");
            })
        });
        for client in join_all(clients).await {
            client.unwrap();
        }
        let seen = warm.recorder.seen();
        let mut counted = [0, 0];
        for request in seen.iter().filter(|request| request.target() != "/api/x") {
            let owner = request.target().split('/').nth(2).unwrap();
            assert_eq!(request.one("x-wx-openid"), owner, "{}", request.target());
            counted[usize::from(owner == "oSecond")] += 1;
        }
        assert_eq!(counted, [1_000, 1_000]);
    }
}

#[tokio::test]
async fn no_part_of_a_token_stands_for_the_whole() {
    for cache in CACHES {
        let mut warm = Warm::start(cache).await;
        let _case = case(
            "F06",
            "the whole token is looked up: a known signature under another payload, or a known payload under another header, is not known",
        );
        let (alice, bob) = (warm.good.clone(), warm.gateway.log_in(&SHOP, "bob").await);
        warm.passes("bob", &bob).await;
        let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
        let (a, b) = (parts(&alice), parts(&bob));
        assert_eq!(a[0], b[0]);
        let header = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for (name, token) in [
            ("the signature, another payload", format!("{}.{}.{}", a[0], b[1], a[2])),
            ("the payload, another signature", format!("{}.{}.{}", a[0], a[1], b[2])),
            (
                "the payload, another header",
                format!("{}.{}.{}", header(r#"{"kid":"test","alg":"HS256","typ":"JWT"}"#), a[1], a[2]),
            ),
            (
                "the payload, another key",
                format!("{}.{}.{}", header(r#"{"alg":"ES256","kid":"p1"}"#), a[1], a[2]),
            ),
            ("all but the last character", alice[..alice.len() - 1].to_owned()),
            ("a character more", format!("{alice}A")),
        ] {
            warm.refuses(name, &token, "token_invalid").await;
        }
        let no_algorithm = format!("{}.{}.", header(r#"{"alg":"none","kid":"test"}"#), a[1]);
        warm.refuses("the payload, no signature", &no_algorithm, "token_invalid").await;
    }
}

#[tokio::test]
async fn a_logout_reaches_every_place_that_remembers() {
    for cache in CACHES {
        let warm = Warm::start(cache).await;
        let _case = case(
            "F07",
            "after a logout the token is refused at once: by the cache and by each connection that carried it last; \
             by other nodes within a second (H09)",
        );
        let token = warm.gateway.log_in(&SHOP, "bob").await;
        let mut connections = Vec::new();
        for _ in 0..20 {
            let mut connection = Connection::open(warm.gateway.port).await;
            assert!(connection.ask(api(&bearer(&token))).await.starts_with("HTTP/1.1 200"));
            connections.push(connection);
        }
        assert_eq!(warm.gateway.post("/logout").bearer_auth(&token).send().await.unwrap().status(), 204);
        let seen = warm.recorder.seen().len();
        for (n, connection) in connections.iter_mut().enumerate() {
            assert_eq!(said(&connection.ask(api(&bearer(&token))).await), "401 session_ended", "{n}");
        }
        assert_eq!(said(&exchange(warm.gateway.port, api(&bearer(&token))).await), "401 session_ended");
        assert_eq!(warm.recorder.seen().len(), seen);
    }
}

#[tokio::test]
async fn a_changed_config_judges_the_tokens_of_before() {
    for cache in CACHES {
        let recorder = Recorder::start().await;
        let config = Config::new(recorder.port, gateway::ROUTES).with(&format!("[token]\n{cache}"));
        let mut gateway = Gateway::start(config).await;
        let _case = case(
            "F09",
            "a token that passed before the config was changed meets the new rules with its first request",
        );
        let token = gateway.log_in(&SHOP, "alice").await;
        assert_eq!(gateway.get_as(&token, "/api/x").await.status(), 200);
        let text = std::fs::read_to_string(gateway.config_path()).unwrap();
        let stricter = text.replacen("path = \"/api/*\"\n", "path = \"/api/*\"\napps = [\"merchant\"]\n", 1);
        assert_ne!(stricter, text);
        std::fs::write(gateway.config_path(), stricter).unwrap();
        gateway.restart("TERM").await;
        let seen = recorder.seen().len();
        for _ in 0..2 {
            let refused = gateway.get_as(&token, "/api/x").await;
            assert_eq!(refused.headers()["x-wxgate-error"], "app_not_allowed");
        }
        assert_eq!(recorder.seen().len(), seen);
    }
}

#[tokio::test]
async fn tokens_that_fail_take_no_place_of_one_that_passes() {
    const SENDERS: usize = 8;
    const EACH: usize = 500;
    for cache in CACHES {
        let mut warm = Warm::start(cache).await;
        let _case = case(
            "F10",
            "thousands of different bad tokens are remembered nowhere: memory stays, and the good ones stay known",
        );
        let good = warm.good.clone();
        let (entries, hits) =
            (warm.metric("wxgate_token_cache_entries").await, warm.metric("wxgate_token_cache_hits").await);
        let memory = warm.gateway.process.resident_bytes();
        // Each has our header and a payload of its own, so that only its signature is wrong. One part is common to all, and
        // the logs are searched for it.
        let mark = secret("bm90LWEtc2lnbmF0dXJlLW9mLW91cnM");
        let header = good.split('.').next().unwrap().to_owned();
        let port = warm.gateway.port;
        let senders = (0..SENDERS).map(|sender| {
            let (header, mark) = (header.clone(), mark.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(port).await;
                for n in 0..EACH {
                    let payload =
                        URL_SAFE_NO_PAD.encode(json!({ "sub": format!("o{sender}-{n}") }).to_string());
                    let answer =
                        connection.ask(api(&bearer(&format!("{header}.{payload}.{mark}AAAAAAAAAAA")))).await;
                    assert_eq!(said(&answer), "401 token_invalid");
                }
            })
        });
        for sender in join_all(senders).await {
            sender.unwrap();
        }
        assert_eq!(warm.metric("wxgate_token_cache_entries").await, entries);
        assert_eq!(warm.metric("wxgate_token_cache_hits").await, hits);
        let grown = warm.gateway.process.resident_bytes().saturating_sub(memory);
        assert!(grown < 32 << 20, "{grown} bytes more after {} bad tokens", SENDERS * EACH);
        // On a connection of its own, so that only the cache can know it.
        let answer = exchange(port, api(&bearer(&good))).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let known = u64::from(cache.is_empty());
        assert_eq!(warm.metric("wxgate_token_cache_hits").await, hits + known);
        warm.stands();
    }
}

#[tokio::test]
async fn without_a_cache_nothing_is_remembered() {
    let _case = case(
        "F14",
        "with the cache off nothing is remembered, and every verdict is the same: each test of groups E and F runs with it and without",
    );
    let mut warm = Warm::start(CACHES[1]).await;
    let good = warm.good.clone();
    for _ in 0..10 {
        assert_eq!(warm.passes("the same token on the same connection", &good).await, warm.openid);
    }
    assert_eq!(warm.metric("wxgate_token_cache_hits").await, 0);
    assert_eq!(warm.metric("wxgate_token_cache_entries").await, 0);
    let mut warm = Warm::start(CACHES[0]).await;
    let good = warm.good.clone();
    assert_eq!(warm.passes("the same token on the same connection", &good).await, warm.openid);
    assert_eq!(warm.metric("wxgate_token_cache_hits").await, 1);
    assert_eq!(warm.metric("wxgate_token_cache_entries").await, 1);
}
