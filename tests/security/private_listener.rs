//! Group J: the private listener. What it does without a credential is read-only and tells nothing of anybody; it knows few
//! paths, and answers no web page.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::case;
use crate::config_files::{good, said};
use crate::harness::redis::Server;
use crate::harness::{Config, Gateway, PATIENCE, Recorder, SHOP, exchange, gateway, root, secret};

/// The open paths of the private listener, and what they may tell whoever is on this machine.
const OPEN: [(&str, &str); 3] = [
    ("/livez", "that the process lives"),
    ("/readyz", "whether it is ready, and the kind of what is not"),
    ("/metrics", "counters, labelled from the config"),
];

/// Those that ask for the operator's credential, whatever the method.
const OPERATORS: [&str; 2] = ["/sessions", "/sessions/{sid}"];

/// Those that ask for a service's credential, and take POST alone.
const SERVICES: [&str; 4] =
    ["/session-data/decrypt", "/session-data/verify", "/session-data/sign", "/session-data/check"];

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// A path as a request may have it.
fn concrete(path: &str) -> String {
    path.replace("{sid}", "AAAAAAAAAAAAAAAAAAAAAA")
}

fn every_path() -> Vec<String> {
    routed().iter().map(|path| concrete(path)).collect()
}

async fn with_operator() -> (Gateway, Recorder) {
    let recorder = Recorder::start().await;
    (Gateway::start(Config::new(recorder.port, gateway::ROUTES).with_operator()).await, recorder)
}

fn credential() -> String {
    format!("Authorization: Bearer {}\r\n", gateway::ADMIN_TOKEN)
}

/// What the router of the private listener knows, read from its source.
fn routed() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("gateway/src/admin.rs")).unwrap();
    let calls = text.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    calls.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_private_path_is_open_or_asks_for_a_credential() {
    let _case = case(
        "J03",
        "without a credential the private listener tells health and counters, and nothing else, and changes nothing; every \
         other path is 401, and 403 where no credential is configured: the paths are read from the router, so a new one \
         must be judged here",
    );
    let judged = OPEN.iter().map(|(path, _)| *path).chain(OPERATORS).chain(SERVICES);
    assert_eq!(routed(), judged.map(str::to_owned).collect());
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, gateway::ROUTES).with_operator();
    let service = secret("credential-of-a-service-5Rk8Wq2Nz7Lp");
    let config =
        config.with("[admin.service.order]\ntoken = { env = \"ORDER\" }\n").with_variable("ORDER", service);
    let gateway = Gateway::start(config).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    for (path, tells) in OPEN {
        let answer = gateway.client.get(gateway.admin_url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let text = answer.text().await.unwrap();
        let shown = ["alice", SHOP.appid, &token, "Bearer", "127.0.0.1", "/tmp"]
            .into_iter()
            .find(|word| text.contains(word));
        assert_eq!(shown, None, "{path} may tell {tells}: {text}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
            let answer = exchange(gateway.admin_port, request).await;
            assert!(answer.starts_with("HTTP/1.1 4"), "{method} {path}: {answer}");
        }
    }
    let (closed, _recorder) = Gateway::before_recorder().await;
    let query = "?app=shop&openid=oNobody";
    let operators = OPERATORS
        .iter()
        .flat_map(|path| METHODS.map(|method| (concrete(path), method, "admin_token_not_set")));
    let services = SERVICES.iter().map(|path| ((*path).to_owned(), "POST", "admin_service_not_set"));
    for (path, method, where_none) in operators.chain(services) {
        for (lines, code) in [
            (String::new(), "credential_missing"),
            ("Authorization: Bearer \r\n".to_owned(), "credential_missing"),
            (format!("Authorization: Basic {}\r\n", gateway::ADMIN_TOKEN), "credential_missing"),
            (format!("X-API-KEY: {0}\r\nCookie: token={0}\r\n", gateway::ADMIN_TOKEN), "credential_missing"),
            (format!("Authorization: Bearer {token}\r\n"), "credential_wrong"),
            ("Authorization: Bearer undefined\r\n".to_owned(), "credential_wrong"),
            (format!("{}{}", credential(), credential()), "credential_wrong"),
        ] {
            let request = format!("{method} {path}{query} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
            let answer = exchange(gateway.admin_port, &request).await.to_lowercase();
            let refused =
                answer.starts_with("http/1.1 401") && answer.contains("www-authenticate: bearer\r\n");
            assert!(refused && answer.contains(code), "{method} {path} {lines}: {answer}");
            let answer = exchange(closed.admin_port, &request).await;
            let refused = answer.starts_with("HTTP/1.1 403") && answer.contains(where_none);
            assert!(refused, "{method} {path} {lines}: {answer}");
        }
    }
    for (path, method) in SERVICES.iter().flat_map(|path| METHODS.map(|method| (path, method))) {
        // The operator's credential is none of a service's.
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", credential());
        let answer = exchange(gateway.admin_port, request).await;
        let status = if method == "POST" { "HTTP/1.1 401" } else { "HTTP/1.1 405" };
        assert!(answer.starts_with(status), "{method} {path}: {answer}");
    }
    assert_eq!(gateway.get_as(&token, "/api/x").await.status(), 200);
}

#[tokio::test]
async fn no_web_page_reaches_it() {
    let _case = case(
        "J07",
        "a page in a browser on the same machine cannot use the private listener: a name that was rebound to loopback, \
         an Origin and a foreign Sec-Fetch-Site are 403, on every path, and no credential helps",
    );
    let (gateway, _recorder) = with_operator().await;
    let port = gateway.admin_port;
    let queried = ["/nowhere".to_owned(), "/sessions?app=shop&openid=oNobody".to_owned()];
    for path in every_path().into_iter().chain(queried) {
        for (line, lines) in [
            (format!("GET {path}"), "Host: evil:9090\r\n".to_owned()),
            (format!("GET {path}"), "Host: localhost.evil.test\r\n".to_owned()),
            (format!("GET {path}"), "Host: 127.0.0.1.evil.test\r\n".to_owned()),
            (format!("GET {path}"), "Host: evil.test:127.0.0.1\r\n".to_owned()),
            (format!("GET {path}"), "Host: localhost@evil.test\r\n".to_owned()),
            (format!("GET {path}"), "Host: 0.0.0.0:9090\r\n".to_owned()),
            (format!("GET {path}"), "Host: 10.0.0.1\r\n".to_owned()),
            (format!("GET {path}"), "Host: \r\n".to_owned()),
            (format!("GET {path}"), String::new()),
            (format!("GET {path}"), "Host: localhost\r\nHost: localhost\r\n".to_owned()),
            (format!("GET {path}"), "Host: localhost, evil.test\r\n".to_owned()),
            (format!("GET {path}"), format!("Host: localhost:{port}\r\nOrigin: http://evil\r\n")),
            (format!("GET {path}"), format!("Host: localhost:{port}\r\nOrigin: null\r\n")),
            (format!("GET {path}"), format!("Host: localhost:{port}\r\nSec-Fetch-Site: cross-site\r\n")),
            (format!("GET {path}"), format!("Host: localhost:{port}\r\nSec-Fetch-Site: same-site\r\n")),
            (
                format!("POST {path}"),
                format!(
                    "Host: localhost:{port}\r\nOrigin: http://evil\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n"
                ),
            ),
            (format!("POST {path}"), "Host: evil:9090\r\nContent-Length: 0\r\n".to_owned()),
            (format!("DELETE {path}"), "Host: evil:9090\r\n".to_owned()),
            (
                format!("DELETE {path}"),
                format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n"),
            ),
            (format!("OPTIONS {path}"), format!("Host: localhost:{port}\r\nOrigin: http://evil\r\n")),
            (format!("GET http://evil.test{path}"), format!("Host: localhost:{port}\r\n")),
        ] {
            let lines = lines + &credential();
            let answer = exchange(port, format!("{line} HTTP/1.1\r\n{lines}\r\n")).await;
            let refused = answer.starts_with("HTTP/1.1 403") || answer.starts_with("HTTP/1.1 400");
            assert!(refused, "{line} {lines:?}: {answer}");
            assert!(!answer.contains("access-control-allow"), "{line} {lines:?}: {answer}");
        }
    }
    for host in
        ["localhost".to_owned(), format!("localhost:{port}"), "127.0.0.1".to_owned(), format!("[::1]:{port}")]
    {
        let answer = exchange(port, format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
}

#[tokio::test]
async fn management_is_nowhere_but_there() {
    let _case = case(
        "J08",
        "on the public port the paths of management are ordinary paths, here routed by nobody; the private listener on \
         an address that others reach, or on a public one's port, does not start",
    );
    let _batch = case(
        "J02",
        "no endpoint makes requests from the body of another: a batch, a relay or a sub-request would pass by the checks",
    );
    let (gateway, recorder) = with_operator().await;
    let batch = r#"{"pipeline":[{"method":"GET","path":"/internal/x"}],"requests":[{"url":"/api/x"}]}"#;
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/healthz",
        "/health",
        "/status",
        "/admin",
        "/debug/pprof",
        "/debug/vars",
        "/api-docs",
        "/config",
        "/dashboard",
        "/server-status",
        "/sessions",
        "/sessions/AAAAAAAAAAAAAAAAAAAAAA",
        "/-/reload",
        "/.env",
        "/actuator/env",
        "/apisix/batch-requests",
        "/batch",
        "/_bulk",
        "/graphql",
        "/proxy",
        "/_sim/codes",
    ] {
        for method in ["GET", "POST", "DELETE", "PURGE"] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: gw.test\r\nX-API-KEY: edd1c9f034335f136f87ad84b625c8f1\r\n{}\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{batch}",
                credential(),
                batch.len()
            );
            let answer = exchange(gateway.port, &request).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "public {method} {path}: {answer}");
            if every_path().iter().any(|routed| routed == path) {
                continue;
            }
            let answer = exchange(gateway.admin_port, request.replace("gw.test", "localhost")).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "private {method} {path}: {answer}");
        }
    }
    assert!(recorder.seen().is_empty());

    for listen in
        ["0.0.0.0:9090", "[::]:9090", "10.0.0.1:9090", "192.168.1.1:9090", "localhost.evil.test:9090"]
    {
        let config = good();
        let lines = config.lines().map(|line| {
            let private = line.starts_with("listen = \"");
            if private { format!("listen = \"{listen}\"\n") } else { format!("{line}\n") }
        });
        let (status, said) = said("run", &lines.collect::<String>());
        assert!(status == 78 && said.contains("error: admin.listen"), "{listen}: {status} {said}");
    }
}

#[tokio::test]
async fn a_private_path_is_these_bytes_and_no_others() {
    let _case = case(
        "J09",
        "a path of the private listener matches byte by byte: no other case, no encoding, no dots, no tail",
    );
    let (gateway, _recorder) = with_operator().await;
    for path in every_path() {
        let tail = &path[2..];
        for other in [
            format!("{path}/"),
            format!("{path}x"),
            format!("{path}/x"),
            format!("{path};x"),
            format!("{path}%20"),
            format!("/{path}"),
            path.to_uppercase(),
            format!("/%{:02x}{tail}", path.as_bytes()[1]),
            format!("/x/..{path}"),
            format!("/x/%2e%2e{path}"),
            format!("/.{path}"),
            format!("{path}%00"),
        ] {
            let request = format!("GET {other} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", credential());
            let answer = exchange(gateway.admin_port, request).await;
            // One segment below the sessions is a session's id, or none.
            let no_sid = answer.starts_with("HTTP/1.1 400") && answer.contains("bad_sid");
            let nothing = answer.starts_with("HTTP/1.1 404") && !answer.contains("session_unknown");
            assert!(nothing || no_sid, "{other}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_gateway_in_trouble_lives_and_readiness_says_so() {
    let _case = case(
        "J16",
        "a gateway that never learned who logged out lives and is not ready; one whose store takes no more is ready, for \
         tokens go on, and says so; readiness names the part in trouble and no detail of it",
    );
    let recorder = Recorder::start().await;
    let ask = async |gateway: &Gateway, path: &str| {
        let answer = gateway.client.get(gateway.admin_url(path)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let is_ready = async |gateway: &Gateway| {
        assert_eq!(ask(gateway, "/livez").await, (200, "ok\n".to_owned()));
        let (status, text) = ask(gateway, "/readyz").await;
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };

    let mut redis = Server::start(&[]);
    let shared = Config::new(recorder.port, gateway::ROUTES)
        .with_head("[store]\nredis = { env = \"REDIS_URL\" }\n")
        .with_variable("REDIS_URL", redis.url());
    let mut blind = Gateway::start(shared).await;
    redis.kill();
    blind.process.signal("TERM");
    blind.process.end().await;
    blind.start_again_unready().await;
    let wanted = json!({ "ready": false, "failing": ["revocations"], "degraded": ["store"] });
    assert_eq!(is_ready(&blind).await, (503, wanted));
    assert!(blind.metrics().await.lines().any(|line| line == "wxgate_ready 0"));

    let full = Config::new(recorder.port, gateway::ROUTES).with("[store]\nsessions_max = 1\n");
    let full = Gateway::start(full).await;
    full.log_in(&SHOP, "alice").await;
    let wanted = json!({ "ready": true, "failing": [], "degraded": ["store"] });
    // What was found before the login is believed for a moment.
    let began = Instant::now();
    while is_ready(&full).await != (200, wanted.clone()) {
        assert!(began.elapsed() < PATIENCE, "{:?}", is_ready(&full).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(full.metrics().await.lines().any(|line| line == "wxgate_store_ready 0"));
}
