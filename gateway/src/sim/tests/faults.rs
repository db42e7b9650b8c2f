//! Scripted faults: what a client sees, and what became of its code.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// The text of the next exchange, and its status.
async fn next(sim: &Sim, code: &str) -> (u16, String) {
    let answer = sim.exchange_as(SHOP, SECRET, code).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Sends an exchange over a bare socket and reads until it ends, one way or the other.
async fn raw(sim: &Sim, code: &str) -> (Vec<u8>, std::io::Result<usize>) {
    let mut stream = TcpStream::connect(sim.url.trim_start_matches("http://")).await.unwrap();
    let request = format!(
        "GET /sns/jscode2session?appid={SHOP}&secret={SECRET}&js_code={code}&grant_type=authorization_code \
         HTTP/1.1\r\nHost: sim\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut seen)).await.unwrap();
    (seen, ended)
}

#[tokio::test]
async fn a_busy_wechat_says_minus_one_and_keeps_the_code() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "busy", "times": 2 })).await;
    for _ in 0..2 {
        assert_eq!(sim.exchange(&code).await["errcode"], -1);
    }
    assert!(sim.exchange(&code).await["openid"].is_string());
}

#[tokio::test]
async fn a_busy_wechat_may_have_spent_the_code() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "busy", "consume": true })).await;
    assert_eq!(sim.exchange(&code).await["errcode"], -1);
    assert_eq!(sim.exchange(&code).await["errcode"], 40163);
}

#[tokio::test]
async fn a_reset_sends_no_byte_and_the_code_is_spent() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "reset" })).await;
    let (seen, ended) = raw(&sim, &code).await;
    assert_eq!((seen.len(), ended.unwrap_err().kind()), (0, ErrorKind::ConnectionReset));
    assert_eq!(sim.exchange(&code).await["errcode"], 40163);
}

#[tokio::test]
async fn a_reset_can_come_before_the_code_was_spent() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "reset", "consume": false })).await;
    assert!(sim.exchange_as(SHOP, SECRET, &code).send().await.is_err());
    assert!(sim.exchange(&code).await["openid"].is_string());
}

#[tokio::test]
async fn a_slow_answer_has_its_effect_before_the_wait() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "slow", "after_ms": 60_000 })).await;
    let patience = Duration::from_millis(300);
    let error = sim.exchange_as(SHOP, SECRET, &code).timeout(patience).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(sim.exchange(&code).await["errcode"], 40163);
}

#[tokio::test]
async fn a_slow_answer_is_the_right_one() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "slow", "after_ms": 150 })).await;
    let start = Instant::now();
    assert!(sim.exchange(&code).await["openid"].is_string());
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn half_a_body_ends_in_the_middle() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "half_body" })).await;
    let (seen, ended) = raw(&sim, &code).await;
    let text = String::from_utf8(seen).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let announced: usize =
        head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert!(body.starts_with(r#"{"session_key":""#) && body.len() == announced / 2, "{ended:?} {text}");
    assert_eq!(sim.exchange(&code).await["errcode"], 40163);
}

#[tokio::test]
async fn a_dripping_body_is_the_right_one_in_the_end() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "drip", "gap_ms": 2 })).await;
    let start = Instant::now();
    assert!(sim.exchange(&code).await["openid"].is_string());
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_502_of_a_front_is_html_and_keeps_the_code() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "html_502" })).await;
    let (status, text) = next(&sim, &code).await;
    assert!(status == 502 && text.starts_with("<html>"), "{status} {text}");
    assert!(sim.exchange(&code).await["openid"].is_string());
}

#[tokio::test]
async fn a_huge_body_is_valid_json_of_the_asked_length() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "huge_body", "bytes": 3_000_000 })).await;
    let answer = sim.exchange(&code).await;
    assert_eq!(answer["padding"].as_str().unwrap().len(), 3_000_000);
    assert!(answer["openid"].is_string());
}

#[tokio::test]
async fn a_gzip_bomb_is_small_on_the_wire_and_large_unpacked() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "gzip_bomb", "bytes": 3_000_000 })).await;
    let answer = sim.exchange_as(SHOP, SECRET, &code).send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let packed = answer.bytes().await.unwrap();
    assert!(packed.len() < 30_000, "{} bytes", packed.len());
    let unpacked: Value = serde_json::from_reader(flate2::read::GzDecoder::new(&packed[..])).unwrap();
    assert_eq!(unpacked["padding"].as_str().unwrap().len(), 3_000_000);
    assert!(unpacked["openid"].is_string());
}

#[tokio::test]
async fn bodies_that_are_no_answer_are_still_status_200() {
    let sim = Sim::start().await;
    for (kind, expected) in [("empty", ""), ("not_json", "<xml>")] {
        let code = sim.login("alice").await;
        sim.fault(json!({ "kind": kind })).await;
        let (status, text) = next(&sim, &code).await;
        assert!(
            status == 200 && text.starts_with(expected) && text.is_empty() == expected.is_empty(),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_byte_order_mark_stands_before_the_right_answer() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "bom" })).await;
    let bytes = sim.exchange_as(SHOP, SECRET, &code).send().await.unwrap().bytes().await.unwrap();
    assert!(bytes.starts_with(b"\xef\xbb\xbf{\"session_key\""), "{bytes:?}");
}

#[tokio::test]
async fn a_followed_redirect_is_seen_in_the_calls() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "redirect" })).await;
    let answer = sim.exchange_as(SHOP, SECRET, &code).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["location"]),
        (302, &"/redirected".parse().unwrap())
    );
    assert_eq!(sim.get("/redirected").send().await.unwrap().status(), 404);
    let calls = json_of(sim.get("/_sim/calls").send().await.unwrap()).await;
    assert_eq!(calls["counts"], json!({ "/sns/jscode2session": 1, "/redirected": 1 }));
}

#[tokio::test]
async fn any_errcode_can_be_scripted_with_its_usual_text() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "errcode", "code": 40226 })).await;
    sim.fault(json!({ "kind": "errcode", "code": "99999", "errmsg": "novel" })).await;
    let (_, blocked) = next(&sim, &code).await;
    assert!(blocked.starts_with(r#"{"errcode":40226,"errmsg":"code blocked, rid: "#), "{blocked}");
    let (_, novel) = next(&sim, &code).await;
    assert!(novel.starts_with(r#"{"errcode":99999,"errmsg":"novel, rid: "#), "{novel}");
    assert!(sim.exchange(&code).await["openid"].is_string());
}

#[tokio::test]
async fn older_and_newer_shapes_can_be_had() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "legacy" })).await;
    let answer = sim.exchange(&code).await;
    assert_eq!((&answer["errcode"], &answer["expires_in"]), (&json!(0), &json!(7200)));
    sim.fault(json!({ "kind": "string_errcode" })).await;
    assert_eq!(sim.exchange(&code).await["errcode"], "40163");
    sim.fault(json!({ "kind": "old_hints" })).await;
    let text = sim.exchange(&code).await["errmsg"].as_str().unwrap().to_owned();
    assert!(text.starts_with("code been used, hints: [ req_id: ") && text.ends_with(" ]"), "{text}");
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "extra_fields" })).await;
    let answer = sim.exchange(&code).await;
    assert!(answer["openid"].is_string() && answer["new_field"]["nested"].is_array(), "{answer}");
}

#[tokio::test]
async fn faults_come_in_order_each_for_its_own_path() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    sim.fault(json!({ "kind": "errcode", "code": 1001, "path": "/cgi-bin/token" })).await;
    sim.fault(json!({ "kind": "errcode", "code": 1002, "path": "/sns/jscode2session" })).await;
    sim.fault(json!({ "kind": "errcode", "code": 1003 })).await;
    assert_eq!(sim.exchange(&code).await["errcode"], 1002);
    let token = json_of(sim.get("/cgi-bin/token").send().await.unwrap()).await;
    assert_eq!(token["errcode"], 1001);
    assert_eq!(sim.exchange(&code).await["errcode"], 1003);
    assert!(sim.exchange(&code).await["openid"].is_string());
}
