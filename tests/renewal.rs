//! A token past half its life has a successor in the answer: people who use the app stay in without another login.

use std::time::{Duration, Instant};

use auth_core::keys::Algorithm;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Response;
use serde_json::{Value, json};

use crate::harness::h2::Client;
use crate::harness::tokens::{now, signed};
use crate::harness::{Config, Gateway, KeyFile, Recorder, SHOP, Script, exchange, gateway, secret};

/// A token of two hours that was made at its login, so many seconds ago.
pub(crate) fn token_of_age(secs: u64) -> String {
    let made = now() - secs;
    signed(json!({ "auth_time": made, "iat": made, "exp": made + 7200 }))
}

/// The new token of an answer.
pub(crate) fn successor(answer: &Response) -> Option<String> {
    answer.headers().get("x-session-token").map(|token| secret(token.to_str().unwrap()))
}

fn segment(token: &str, n: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
}

fn claims_of(token: &str) -> Value {
    segment(token, 1)
}

async fn gateway_with(routes: &str, sections: &str) -> (Gateway, Recorder) {
    let recorder = Recorder::start().await;
    let routes = format!("{}{routes}", gateway::ROUTES);
    (Gateway::start(Config::new(recorder.port, &routes).with(sections)).await, recorder)
}

#[tokio::test]
async fn a_token_past_half_its_life_is_renewed_for_the_same_session() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let fresh = gateway.log_in(&SHOP, "alice").await;
    for path in ["/api/x", "/session"] {
        assert_eq!(successor(&gateway.get_as(&fresh, path).await), None, "{path}");
    }
    assert_eq!(successor(&gateway.get_as(&token_of_age(3500), "/api/x").await), None);

    let (made, old) = (now() - 4000, token_of_age(4000));
    let answer = gateway.get_as(&old, "/api/x").await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let expires_in: u64 = answer.headers()["x-session-expires-in"].to_str().unwrap().parse().unwrap();
    assert!((6700..=6802).contains(&expires_in), "{expires_in}");
    let new = successor(&answer).unwrap();
    let (was, is) = (claims_of(&old), claims_of(&new));
    for claim in ["iss", "sub", "aud", "sid", "typ", "auth_time"] {
        assert_eq!(was[claim], is[claim], "{claim}");
    }
    // A second may have begun between the two.
    let half_life = is["iat"].as_u64().unwrap() - 3600;
    assert!((made..=made + 1).contains(&half_life), "{is}");
    assert_eq!(is["exp"].as_u64().unwrap(), half_life + 3600 + 7200);

    // The old one is good until its own end; the new one is used like any other.
    for token in [&old, &new, &old] {
        assert_eq!(gateway.get_as(token, "/api/x").await.status(), 200);
        assert_eq!(recorder.last().one("x-wx-openid"), "oForged");
    }
    assert_eq!(successor(&gateway.get_as(&new, "/api/x").await), None);
    let session = gateway.get_as(&old, "/session").await;
    assert_eq!(successor(&session).as_deref(), Some(new.as_str()));
    let session: Value = session.json().await.unwrap();
    assert!((3198..=3201).contains(&session["expires_in"].as_u64().unwrap()), "{session}");
    assert!(gateway.metrics().await.contains("wxgate_tokens_renewed_total 4"));
}

#[tokio::test]
async fn a_token_is_renewed_where_it_is_looked_at_and_let_through() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let old = token_of_age(4000);
    for (path, status, renews) in [
        ("/api/x", 200, true),
        ("/opt/x", 200, true),
        ("/lenient/x", 200, true),
        ("/session", 200, true),
        ("/public/x", 200, false),
        ("/merchant/x", 403, false),
        ("/internal/x", 403, false),
        ("/nowhere", 404, false),
        ("/login", 405, false),
        ("/.well-known/jwks.json", 200, false),
    ] {
        let answer = gateway.get_as(&old, path).await;
        assert_eq!((answer.status().as_u16(), successor(&answer).is_some()), (status, renews), "{path}");
    }
    assert_eq!(successor(&gateway.get("/opt/x").send().await.unwrap()), None);
    assert_eq!(successor(&gateway.get_as(&signed(json!({ "exp": now() - 60 })), "/lenient/x").await), None);
    // Whatever the service says, but not on what it says before that, nor on what changes an answer that was kept.
    for (answer, renews) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", false),
    ] {
        recorder.answer_with(answer);
        assert_eq!(successor(&gateway.get_as(&old, "/api/x").await).is_some(), renews, "{answer}");
    }
    recorder.answer_with("CLOSE");
    let failed = gateway.get_as(&old, "/api/x").await;
    assert_eq!((failed.status().as_u16(), successor(&failed)), (502, None));
    let out = gateway.post("/logout").bearer_auth(&old).send().await.unwrap();
    assert_eq!((out.status().as_u16(), successor(&out)), (204, None));
}

#[tokio::test]
async fn a_tunnel_carries_no_new_token() {
    let route = "[[route]]\npath = \"/ws\"\nupstream = \"service\"\nwebsocket = true\n";
    let (gateway, recorder) = gateway_with(route, "").await;
    recorder.play(Script::after_head().accept_websocket().silence());
    let answer = exchange(
        gateway.port,
        format!(
            "GET /ws HTTP/1.1\r\nHost: gw.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {}\r\n\r\n",
            token_of_age(4000)
        ),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("x-session-"), "{answer}");
}

#[tokio::test]
async fn a_route_and_the_whole_gateway_can_renew_nothing() {
    let route = |renew| format!("[[route]]\npath = \"/own/*\"\nupstream = \"service\"\nrenew = {renew}\n");
    let old = token_of_age(4000);
    for (sections, renew, on_own, elsewhere) in
        [("", false, false, true), ("[token]\nrenew = false\n", true, true, false)]
    {
        let (gateway, _recorder) = gateway_with(&route(renew), sections).await;
        for (path, renews) in [("/own/x", on_own), ("/api/x", elsewhere), ("/session", elsewhere)] {
            let answer = gateway.get_as(&old, path).await;
            assert_eq!((answer.status().as_u16(), successor(&answer).is_some()), (200, renews), "{path}");
        }
    }
}

#[tokio::test]
async fn either_token_ends_the_session_of_both() {
    for ends_by_old in [true, false] {
        let (gateway, _recorder) = Gateway::before_recorder().await;
        let old = token_of_age(4000);
        let new = successor(&gateway.get_as(&old, "/api/x").await).unwrap();
        let by = if ends_by_old { &old } else { &new };
        assert_eq!(gateway.post("/logout").bearer_auth(by).send().await.unwrap().status(), 204);
        for token in [&old, &new] {
            let answer = gateway.get_as(token, "/api/x").await;
            assert_eq!((answer.status().as_u16(), successor(&answer)), (401, None));
            assert_eq!(answer.headers()["x-wxgate-error"], "session_ended");
        }
    }
}

#[tokio::test]
async fn a_successor_has_a_successor() {
    let (gateway, _recorder) = gateway_with("", "[token]\nleeway = \"60s\"\n").await;
    // Just past its end: its successor is past half of its own life.
    let old = token_of_age(7210);
    let second = successor(&gateway.get_as(&old, "/api/x").await).unwrap();
    let third = successor(&gateway.get_as(&second, "/api/x").await).unwrap();
    assert_eq!(successor(&gateway.get_as(&third, "/api/x").await), None);
    let ends = [&old, &second, &third].map(|token| claims_of(token)["exp"].as_u64().unwrap());
    assert_eq!([ends[1] - ends[0], ends[2] - ends[1]], [3600, 3600]);
}

#[tokio::test]
async fn tokens_of_a_retired_key_get_the_new_one() {
    let recorder = Recorder::start().await;
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let key = KeyFile::new(algorithm);
        for cache in [1000, 0] {
            let section = format!(
                "[token]\ncache_entries = {cache}\nkeys = [{}, {{ kid = \"test\", file = \"key\" }}]\n",
                key.entry("new")
            );
            let gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES).with(&section)).await;
            let old = token_of_age(4000);
            let new = successor(&gateway.get_as(&old, "/api/x").await).unwrap();
            assert_eq!(segment(&new, 0), json!({ "alg": algorithm.name(), "kid": "new", "typ": "JWT" }));
            assert_eq!(gateway.get_as(&new, "/api/x").await.status(), 200);
            // One signature for a token that is remembered; else the same claims under another.
            let again = successor(&gateway.get_as(&old, "/api/x").await).unwrap();
            assert_eq!(claims_of(&again), claims_of(&new));
            let same = cache > 0 || algorithm == Algorithm::EdDsa;
            assert_eq!(again == new, same, "{algorithm:?}, {cache} remembered");
        }
    }
}

#[tokio::test]
async fn no_successor_outlives_the_session() {
    let (gateway, _recorder) = gateway_with("", "[session]\nlifetime = \"3h\"\n").await;
    let token = |logged_in: u64| {
        signed(json!({ "auth_time": now() - logged_in, "iat": now() - 4000, "exp": now() + 3200 }))
    };
    let new = successor(&gateway.get_as(&token(7000), "/api/x").await).unwrap();
    let new = claims_of(&new);
    assert_eq!(new["exp"].as_u64().unwrap(), new["auth_time"].as_u64().unwrap() + 3 * 3600);
    // One that was begun when sessions were shorter ends when it said, where its operator finds it.
    let short = now() + 3500;
    let begun =
        json!({ "auth_time": now() - 7000, "session_exp": short, "iat": now() - 4000, "exp": now() + 3200 });
    let new = claims_of(&successor(&gateway.get_as(&signed(begun), "/api/x").await).unwrap());
    assert_eq!((&new["exp"], &new["session_exp"]), (&json!(short), &json!(short)));
    let fresh = claims_of(&gateway.log_in(&SHOP, "alice").await);
    assert_eq!(fresh["session_exp"].as_u64().unwrap(), fresh["auth_time"].as_u64().unwrap() + 3 * 3600);
    // The session ends before the token says that it does, and an hour ago.
    for (logged_in, status) in [(9000, 200), (4 * 3600, 401)] {
        let answer = gateway.get_as(&token(logged_in), "/api/x").await;
        assert_eq!((answer.status().as_u16(), successor(&answer)), (status, None), "{logged_in} s ago");
    }
    // One from before tokens said when their user logged in.
    let answer = gateway.get_as(&signed(json!({ "iat": now() - 4000, "exp": now() + 3200 })), "/api/x").await;
    assert_eq!((answer.status().as_u16(), successor(&answer)), (200, None));
}

#[tokio::test]
async fn over_http_2_as_well() {
    let (gateway, _recorder) = Gateway::with_tls_before_recorder().await;
    let old = format!("Bearer {}", token_of_age(4000));
    let client = Client::connect(&gateway).await;
    let mut tokens = Vec::new();
    for path in ["/api/x", "/session"] {
        let answer = client.get(path, &[("authorization", &old)]).await.unwrap();
        assert_eq!(answer.headers["cache-control"], "no-store");
        tokens.push(secret(answer.headers["x-session-token"].to_str().unwrap()));
    }
    assert_eq!(tokens[0], tokens[1]);
    let new = format!("Bearer {}", tokens[0]);
    assert_eq!(client.get("/api/x", &[("authorization", &new)]).await.unwrap().status, 200);
}

#[tokio::test]
async fn who_takes_each_new_token_stays_in_until_the_session_ends() {
    let times = "[token]\nttl = \"2s\"\nleeway = \"0s\"\n[session]\nlifetime = \"6s\"\n";
    let (gateway, _recorder) = gateway_with("", times).await;
    let mut token = gateway.log_in(&SHOP, "alice").await;
    let (begun, mut taken) = (Instant::now(), Vec::new());
    let last = loop {
        assert!(begun.elapsed() < Duration::from_secs(60), "the session does not end");
        let answer = gateway.get_as(&token, "/api/x").await;
        if answer.status() != 200 {
            break answer;
        }
        if let Some(new) = successor(&answer) {
            taken.push(claims_of(&new));
            token = new;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(last.headers()["x-wxgate-error"], "token_expired");
    let login = taken[0]["auth_time"].as_u64().unwrap();
    // A machine that stands still for a second may miss the end of the line, never go past it.
    let ends: Vec<_> = taken.iter().map(|claims| claims["exp"].as_u64().unwrap() - login).collect();
    assert!(ends.len() >= 2 && ends.iter().zip(3..).all(|(end, expected)| *end == expected), "{ends:?}");
    assert!(ends.iter().all(|end| *end <= 6), "{ends:?}");
}
