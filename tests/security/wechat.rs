//! Group G, the side of WeChat: whom the AppSecret is sent to, and what may come back.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Certificate, Config, Gateway, Recorder, SHOP, TlsWechat, free_port, gateway, run, secret, wxgate,
};

use super::case;

/// A gateway that waits two seconds for WeChat.
async fn impatient(sections: &str) -> Gateway {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, gateway::ROUTES);
    let times = "[wechat]\nconnect_timeout = \"500ms\"\ntimeout = \"2s\"\n";
    Gateway::start(config.with(times).with(sections)).await
}

/// Logs in with a fresh code.
async fn fresh_login(gateway: &Gateway) -> (u16, Value) {
    let code = gateway.simulator.code(&SHOP, "alice").await;
    gateway.login(json!({ "code": code, "appid": SHOP.appid })).await
}

#[track_caller]
fn refused(answer: &(u16, Value), status: u16, code: &str, input: &str) {
    assert_eq!((answer.0, answer.1["error"].as_str().unwrap_or("")), (status, code), "{input}: {}", answer.1);
    assert!(answer.1.get("token").is_none(), "{input}: {}", answer.1);
}

#[tokio::test]
async fn a_wechat_whose_certificate_does_not_hold_is_told_nothing() {
    let _case = case(
        "G02",
        "a server that shows a self-signed, expired, not yet valid or another name's certificate is not WeChat: the \
         login is refused, neither code nor AppSecret is sent, and no setting turns the check off",
    );
    for certificate in [
        Certificate::Good,
        Certificate::SelfSigned,
        Certificate::WrongName,
        Certificate::Expired,
        Certificate::NotYetValid,
    ] {
        let recorder = Recorder::start().await;
        let wechat = TlsWechat::start(certificate).await;
        let config = Config::new(recorder.port, gateway::ROUTES)
            .with_wechat(wechat.url())
            .with_variable("SSL_CERT_FILE", wechat.authority.to_str().unwrap());
        let gateway = Gateway::start(config).await;
        let code = secret("code-for-nobody-else");
        let answer = gateway.login(json!({ "code": code, "appid": SHOP.appid })).await;
        assert!(wechat.connections() > 0, "{certificate:?}");
        if certificate == Certificate::Good {
            // The authority is believed, so that below it is the certificate that is refused.
            assert_eq!(answer.0, 200, "{}", answer.1);
            assert!(wechat.heard().contains(&code) && wechat.heard().contains(SHOP.secret));
        } else {
            refused(&answer, 503, "wechat_unreachable", &format!("{certificate:?}"));
            assert_eq!(wechat.heard(), "", "{certificate:?}");
        }
    }
    let schema = String::from_utf8(run(wxgate().arg("schema")).stdout).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let keys: Vec<_> = schema["properties"]["wechat"]["properties"].as_object().unwrap().keys().collect();
    assert!(
        !keys.is_empty()
            && !keys.iter().any(|key| ["verif", "secure", "tls"].iter().any(|w| key.contains(w)))
    );
}

#[tokio::test]
async fn what_is_no_answer_of_wechats_mints_no_token() {
    let _case = case(
        "G06",
        "a token is minted for an openid with a session_key in an answer of status 200 and for nothing else: not for an \
         error, an empty, foreign or half answer, another status or a redirect, which is not followed",
    );
    let recorder = Recorder::start().await;
    // One that says any bytes.
    let wechat = Recorder::start().await;
    let url = format!("http://127.0.0.1:{}", wechat.port);
    let gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES).with_wechat(url)).await;
    let user = r#"{"session_key":"tiihtNczf5v6AKRyjwEUhQ==","openid":"oA"}"#;
    let said = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut rows = vec![
        (said("200 OK", r#"{"errcode":40029,"errmsg":"invalid code"}"#), 401, "code_invalid"),
        (
            said("200 OK", r#"{"errcode":40029,"session_key":"tiihtNczf5v6AKRyjwEUhQ==","openid":"oA"}"#),
            401,
            "code_invalid",
        ),
        (said("200 OK", r#"{"errcode":"40029","errmsg":"invalid code"}"#), 401, "code_invalid"),
        (said("500 Internal Server Error", user), 502, "wechat_unexpected"),
        (said("201 Created", user), 502, "wechat_unexpected"),
        (said("302 Found\r\nLocation: /elsewhere", user), 502, "wechat_unexpected"),
        (said("307 Temporary Redirect\r\nLocation: /elsewhere", ""), 502, "wechat_unexpected"),
    ];
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "oA",
        r#"{"openid":""}"#,
        r#"{"openid":"oA"}"#,
        r#"{"openid":"","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#,
        r#"{"openid":"oA","session_key":""}"#,
        r#"{"openid":null,"errcode":0}"#,
        r#"{"openid":null,"session_key":"tiihtNczf5v6AKRyjwEUhQ==","errcode":0}"#,
        r#"{"openid":["oA"],"session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#,
        r#"{"openid":"oA\r\nX-Evil: 1","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#,
        r#"{"openid":"oA","session_key":"tiihtNczf5v6AKRyjwEUhQ=="#,
        "<html><body>busy</body></html>",
    ] {
        rows.push((said("200 OK", body), 502, "wechat_unexpected"));
    }
    for (n, (answer, status, code)) in rows.iter().enumerate() {
        wechat.answer_with(answer);
        let login = gateway.login(json!({ "code": format!("some-code-{n}"), "appid": SHOP.appid })).await;
        refused(&login, *status, code, answer);
        assert_eq!(wechat.seen().len(), n + 1, "asked once, and no redirect is followed: {answer}");
    }
    wechat.answer_with(said("200 OK", user));
    assert_eq!(gateway.login(json!({ "code": "some-code-good", "appid": SHOP.appid })).await.0, 200);
}

#[tokio::test]
async fn a_busy_wechat_is_asked_three_times_and_no_more() {
    let gateway = impatient("").await;
    let _case = case(
        "G10",
        "WeChat's `busy` is asked again twice, after a pause and within the time of one login, then it is a 503; the code \
         is not given up",
    );
    gateway.simulator.fault(json!({ "kind": "busy", "times": 3 })).await;
    let body = json!({ "code": gateway.simulator.code(&SHOP, "alice").await, "appid": SHOP.appid });
    let answer = gateway.post("/login").json(&body).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(answer.headers()["x-wxgate-error"], "wechat_busy");
    assert_eq!(gateway.simulator.exchanges().await, 3);
    assert_eq!(gateway.login(body).await.0, 200, "nothing was spent");
    assert_eq!(gateway.simulator.exchanges().await, 4);
}

#[tokio::test]
async fn a_misconfigured_app_is_the_operators_to_know() {
    let gateway = impatient("").await;
    let _case = case(
        "G11",
        "that WeChat refuses the gateway itself is an error in the log and a count in the metrics; a client learns that it \
         is so, and not why",
    );
    for errcode in [40013, 40125] {
        gateway.simulator.fault(json!({ "kind": "errcode", "code": errcode })).await;
        let answer = fresh_login(&gateway).await;
        refused(&answer, 502, "gateway_misconfigured", &errcode.to_string());
        let told = answer.1.to_string().to_ascii_lowercase();
        for detail in [errcode.to_string().as_str(), SHOP.appid, SHOP.secret, "rid"] {
            assert!(
                !told.contains(&format!("{detail}:")) && !told.contains(&detail.to_ascii_lowercase()),
                "{told}"
            );
        }
        let log = gateway.process.log();
        let line = log.lines().find(|line| line.contains(&errcode.to_string()));
        assert!(line.is_some_and(|line| line.contains("ERROR") && line.contains(SHOP.appid)), "{log}");
        let metrics = gateway.metrics().await;
        let count = format!(
            "wxgate_logins_total{{app=\"shop\",result=\"app_misconfigured\",errcode=\"{errcode}\"}} 1"
        );
        assert!(metrics.contains(&count), "{metrics}");
    }
}

#[tokio::test]
async fn a_wechat_that_hangs_costs_a_login_and_no_more() {
    let gateway = impatient("concurrency = 1\n").await;
    let _case = case(
        "G12",
        "an exchange has one time limit for all of it, silence, a broken connection and a dripping answer included; \
         those under way are capped, and what else passes the gateway is not held up",
    );
    let token = gateway.log_in(&SHOP, "alice").await;
    let before = gateway.simulator.exchanges().await;
    gateway.simulator.fault(json!({ "kind": "slow", "after_ms": 600_000 })).await;
    let started = Instant::now();
    let hung = fresh_login(&gateway);
    let waiting = async {
        while gateway.simulator.exchanges().await == before {
            tokio::task::yield_now().await;
        }
        // One is under way, so that a second waits for its place, and gives up while it still has its code.
        let second = fresh_login(&gateway);
        let others = async {
            for _ in 0..20 {
                assert_eq!(gateway.get_as(&token, "/session").await.status(), 200);
            }
            started.elapsed()
        };
        tokio::join!(second, others)
    };
    let (hung, (second, others_took)) = tokio::join!(hung, waiting);
    refused(&hung, 504, "wechat_timeout", "silence");
    refused(&second, 503, "wechat_busy", "waiting for a place");
    assert!(others_took < started.elapsed(), "others were answered in the meantime");
    assert_eq!(gateway.simulator.exchanges().await, before + 1);
    for (fault, status, code) in [
        (json!({ "kind": "drip", "gap_ms": 500 }), 504, "wechat_timeout"),
        (json!({ "kind": "reset" }), 502, "wechat_interrupted"),
        (json!({ "kind": "half_body" }), 502, "wechat_interrupted"),
    ] {
        gateway.simulator.fault(fault.clone()).await;
        refused(&fresh_login(&gateway).await, status, code, &fault.to_string());
    }
    // The only place is free again.
    assert_eq!(fresh_login(&gateway).await.0, 200);
}

#[tokio::test]
async fn an_answer_is_read_as_far_as_an_answer_can_reach() {
    let gateway = impatient("").await;
    let _case = case(
        "G16",
        "of an answer without end 64 KiB are read, and a compressed one is not unpacked: it costs a login, not memory",
    );
    let before = gateway.process.resident_bytes();
    for fault in [
        json!({ "kind": "huge_body", "bytes": 70_000 }),
        json!({ "kind": "huge_body", "bytes": 17_179_869_184_u64 }),
        json!({ "kind": "gzip_bomb", "bytes": 1_073_741_824 }),
        json!({ "kind": "gzip_bomb", "bytes": 1_000_000 }),
    ] {
        gateway.simulator.fault(json!({ "kind": fault["kind"], "bytes": fault["bytes"], "times": 8 })).await;
        let answers = join_all((0..8).map(|_| fresh_login(&gateway))).await;
        for answer in &answers {
            refused(answer, 502, "wechat_unexpected", &fault.to_string());
        }
    }
    let grown = gateway.process.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    assert_eq!(fresh_login(&gateway).await.0, 200);
}

#[tokio::test]
async fn the_answer_for_a_client_that_left_waits_for_it() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let _case = case(
        "G17",
        "a client that goes away while WeChat is asked finds its session when it sends the same code again: the exchange \
         runs to its end, and WeChat is asked once",
    );
    let body = json!({ "code": gateway.simulator.code(&SHOP, "alice").await, "appid": SHOP.appid });
    gateway.simulator.fault(json!({ "kind": "slow", "after_ms": 200 })).await;
    let text = body.to_string();
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: gw.test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    while gateway.simulator.exchanges().await == 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    let (status, first) = gateway.login(body.clone()).await;
    assert_eq!(status, 200, "{first}");
    let (_, again) = gateway.login(body).await;
    assert_eq!((&again["token"], gateway.simulator.exchanges().await), (&first["token"], 1));
}

#[tokio::test]
async fn a_proxy_of_the_environment_does_not_see_the_secret() {
    let _case = case(
        "G21",
        "proxy variables of the environment are not heeded: the AppSecret goes to WeChat and to nobody in between",
    );
    let (recorder, proxy) = (Recorder::start().await, Recorder::start().await);
    let mut config = Config::new(recorder.port, gateway::ROUTES);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        config = config.with_variable(name, format!("http://127.0.0.1:{}", proxy.port));
    }
    let gateway = Gateway::start(config).await;
    gateway.log_in(&SHOP, "alice").await;
    assert_eq!((gateway.simulator.exchanges().await, proxy.connections()), (1, 0));
    // Nor is it where WeChat itself cannot be reached.
    let mut config = Config::new(recorder.port, gateway::ROUTES)
        .with_wechat(format!("https://127.0.0.1:{}", free_port()))
        .with("[wechat]\nconnect_timeout = \"500ms\"\ntimeout = \"2s\"\n");
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        config = config.with_variable(name, format!("http://127.0.0.1:{}", proxy.port));
    }
    let gateway = Gateway::start(config).await;
    let answer = gateway.login(json!({ "code": "abcdefghijklmnop", "appid": SHOP.appid })).await;
    refused(&answer, 503, "wechat_unreachable", "nobody listens");
    assert_eq!(proxy.connections(), 0);
}
