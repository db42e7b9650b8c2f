//! The private listener.

use std::io::ErrorKind;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::gateway::{ADMIN_TOKEN, ROUTES};
use crate::harness::{Config, Gateway, PATIENCE, Recorder, SHOP, exchange};

#[tokio::test]
async fn health_and_metrics_are_on_the_private_listener_alone() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(gateway.client.get(gateway.admin_url(path)).send().await.unwrap().status(), 200, "{path}");
        assert_eq!(gateway.get(path).send().await.unwrap().status(), 404, "{path}");
    }
    let ready: Value =
        gateway.client.get(gateway.admin_url("/readyz")).send().await.unwrap().json().await.unwrap();
    assert_eq!(ready, serde_json::json!({ "ready": true, "failing": [], "degraded": [] }));
}

#[tokio::test]
async fn a_web_page_cannot_reach_it() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    for (lines, status) in [
        ("Host: evil.test:9090\r\n", 403),
        ("Host: localhost:9090\r\nOrigin: http://evil.test\r\n", 403),
        ("Host: localhost:9090\r\n", 200),
        ("Host: 127.0.0.1\r\n", 200),
    ] {
        let answer = exchange(gateway.admin_port, format!("GET /metrics HTTP/1.1\r\n{lines}\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{lines}: {answer}");
    }
}

#[tokio::test]
async fn what_it_does_not_have_is_refused_in_its_usual_form() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(Config::new(recorder.port, ROUTES).with_operator()).await;
    for (method, path, status, code, allow) in [
        ("GET", "/nowhere", 404, "not_found", None),
        ("POST", "/", 404, "not_found", None),
        ("DELETE", "/readyz", 405, "method_not_allowed", Some("GET,HEAD")),
        ("POST", "/metrics", 405, "method_not_allowed", Some("GET,HEAD")),
        ("POST", "/sessions", 405, "method_not_allowed", Some("GET,HEAD,DELETE")),
        ("PUT", "/sessions/AAAAAAAAAAAAAAAAAAAAAA", 405, "method_not_allowed", Some("GET,HEAD,DELETE")),
        ("GET", "/session-data/sign", 405, "method_not_allowed", Some("POST")),
    ] {
        let request = gateway.client.request(method.parse().unwrap(), gateway.admin_url(path));
        let answer = request.bearer_auth(ADMIN_TOKEN).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(
            (answer.status().as_u16(), header("x-wxgate-error").as_deref(), header("allow").as_deref()),
            (status, Some(code), allow),
            "{method} {path}"
        );
        let said: Value = answer.json().await.unwrap();
        assert!(said["error"] == code && said["message"].is_string(), "{method} {path}: {said}");
    }
}

#[tokio::test]
async fn everything_that_happens_is_counted() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let token = gateway.log_in(&SHOP, "alice").await;
    for _ in 0..3 {
        gateway.get_as(&token, "/api/x").await;
    }
    gateway.get("/api/x").send().await.unwrap();
    gateway.get_as("garbage", "/api/x").await;
    gateway.get("/nowhere/unique-path").send().await.unwrap();
    gateway.get("/public/x").send().await.unwrap();
    let metrics = gateway.metrics().await;
    for line in [
        "wxgate_requests_total{route=\"/api/*\",status=\"200\",outcome=\"proxied\"} 3",
        "wxgate_requests_total{route=\"/api/*\",status=\"401\",outcome=\"refused\"} 2",
        "wxgate_requests_total{route=\"-\",status=\"404\",outcome=\"refused\"} 1",
        "wxgate_requests_total{route=\"login\",status=\"200\",outcome=\"answered\"} 1",
        "wxgate_auth_total{result=\"ok\"} 3",
        "wxgate_auth_total{result=\"token_missing\"} 1",
        "wxgate_auth_total{result=\"token_malformed\"} 1",
        "wxgate_token_cache_hits 2",
        "wxgate_logins_total{app=\"shop\",result=\"ok\",errcode=\"\"} 1",
        "wxgate_wechat_seconds_count 1",
        "wxgate_upstream_seconds_count{upstream=\"service\"} 4",
        "wxgate_ready 1",
        "wxgate_token_cache_entries 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "`{line}` is not in\n{metrics}");
    }
    assert!(!metrics.contains("unique-path"), "a label came from a request");
}

#[tokio::test]
async fn each_request_has_a_line_and_no_secret_in_it() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let answer = gateway.get("/api/x?code=query-secret-1234").bearer_auth(&token).send().await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let line = gateway.process.wait_for_line(|line| line.contains(&id)).await;
    let line: Value = serde_json::from_str(&line).expect("a line is one JSON object");
    for (key, value) in [
        ("method", "GET"),
        ("path", "/api/x"),
        ("route", "/api/*"),
        ("outcome", "proxied"),
        ("client", "127.0.0.1"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!(line["status"], 200);
    assert!(line["duration_ms"].is_f64() && line["upstream.addr"].is_string(), "{line}");
    assert!(line["user"].as_str().unwrap().contains("****"), "{line}");
    // The harness searches the log for the token when the gateway ends; the query is searched for here.
    assert!(!gateway.process.stdout().contains("query-secret"));
    let refused = exchange(gateway.port, "GET /public/%1b[31m\"x HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    let line = gateway.process.wait_for_line(|line| line.contains("bad_target")).await;
    assert!(serde_json::from_str::<Value>(&line).is_ok() && !line.contains("[31m"), "{line}");
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_nobody() {
    let (mut gateway, _recorder) = Gateway::before_recorder().await;
    gateway.process.signal("TERM");
    gateway.process.end().await;
    let mut command = crate::harness::wxgate();
    command.current_dir(gateway.folder.path()).args(["run", "--config", "wxgate.toml"]);
    command.env("SECRET_shop", SHOP.secret).env("SECRET_merchant", crate::harness::MERCHANT.secret);
    // A pipe whose other end is held and never read.
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    while TcpStream::connect(("127.0.0.1", gateway.port)).await.is_err() {
        tokio::task::yield_now().await;
    }
    let path = format!("/nowhere/{}", "a".repeat(4000));
    for _ in 0..1500 {
        assert_eq!(gateway.get(&path).send().await.unwrap().status(), 404);
    }
    let metrics = gateway.metrics().await;
    let dropped =
        metrics.lines().find_map(|line| line.strip_prefix("wxgate_log_lines_dropped_total ")).unwrap();
    assert!(dropped.parse::<u64>().unwrap() > 0, "{dropped}");
    let ended = crate::harness::run(std::process::Command::new("kill").arg(child.id().to_string()));
    assert!(ended.status.success());
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn connections_that_ask_nothing_keep_nobody_out() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let mut idle = Vec::new();
    for _ in 0..512 {
        let mut connection = TcpStream::connect(("127.0.0.1", gateway.admin_port)).await.unwrap();
        connection.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
        idle.push(connection);
    }
    let answer = exchange(gateway.admin_port, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // There are no more places than these: one of them was given up.
    let gone = idle.iter().filter(|connection| {
        !matches!(connection.try_read(&mut [0; 512]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    });
    assert!(gone.count() > 0);
    for mut connection in idle {
        timeout(PATIENCE, connection.read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    }
}
