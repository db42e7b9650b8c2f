//! Group C, continued: who counts as one client, and who may say so.

use crate::harness::{
    Config, Gateway, Recorder, exchange, exchange_all, exchange_from, gateway, run, wxgate,
};

use super::case;
use super::forwarded::{PROXY, TRUSTED, get, status};

#[test]
fn a_config_that_believes_everybody_does_not_start() {
    let _case = case(
        "C09",
        "`trusted_proxies` is empty by default and refuses every address at once, also in halves and as v4-mapped; no \
         flag allows it",
    );
    let folder = tempfile::tempdir().unwrap();
    for networks in [
        "\"0.0.0.0/0\"",
        "\"::/0\"",
        "\"::ffff:0.0.0.0/96\"",
        "\"0.0.0.0/1\", \"128.0.0.0/1\"",
        "\"*\"",
        "\"all\"",
    ] {
        let text = format!("version = 1\n[server]\ntrusted_proxies = [{networks}]\n");
        std::fs::write(folder.path().join("wxgate.toml"), text).unwrap();
        for command in ["check", "run"] {
            let mut wxgate = wxgate();
            let output = run(wxgate.current_dir(folder.path()).args([command, "--config", "wxgate.toml"]));
            let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
            assert!(!output.status.success(), "{command} {networks}: {said}");
            assert!(said.contains("server.trusted_proxies"), "{command} {networks}: {said}");
        }
    }
}

#[tokio::test]
async fn an_address_is_counted_as_what_it_is() {
    let recorder = Recorder::start().await;
    let routes = "[[route]]\npath = \"/few/*\"\nupstream = \"service\"\nauth = \"none\"\n\
                  rate = { per = \"address\", limit = \"3/h\" }\n";
    let config =
        Config::new(recorder.port, routes).with(TRUSTED).with("[login]\nrate = \"3/h\"\nbudget = \"off\"\n");
    let gateway = Gateway::start(config).await;
    let login = |forwarded: &str| {
        let lines = format!("X-Forwarded-For: {forwarded}\r\nContent-Length: 0\r\n");
        format!("POST /login HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n")
    };
    let counted = async |from: &str, request: String| {
        let answer = exchange_from(from, gateway.port, request).await;
        if !answer.contains("rate_limited") {
            return true;
        }
        assert_eq!(status(&answer), "429", "{answer}");
        assert!(answer.to_ascii_lowercase().contains("\r\nretry-after: "), "{answer}");
        false
    };
    {
        let _case = case(
            "C13",
            "logins are limited by the connection's own address: 200 of them, each with a new `X-Forwarded-For`, are one \
             client's",
        );
        let mut passed = 0;
        for n in 0..200 {
            passed += usize::from(counted("127.0.0.1", login(&format!("10.1.{n}.1"))).await);
        }
        assert_eq!(passed, 3);
        // It may be a load balancer that nobody named: the operator is told, once.
        gateway.process.wait_for_log("name it in server.trusted_proxies").await;
        assert_eq!(gateway.process.log().matches("name it in server.trusted_proxies").count(), 1);
        // Another client is not this one, and the one behind a believed proxy is not the proxy.
        assert!(counted("127.0.0.2", login("10.1.1.1")).await);
        for n in 0..5 {
            assert!(counted(PROXY, login(&format!("10.2.{n}.1"))).await);
        }
    }
    {
        let _case = case(
            "C14",
            "a subscriber has a whole IPv6 /64: its addresses are counted as one, by the logins' limit and by a route's",
        );
        for (kind, request) in [("login", true), ("route", false)] {
            let ask = |address: &str| {
                if request {
                    login(address)
                } else {
                    get("/few/x", &format!("X-Forwarded-For: {address}\r\n"))
                }
            };
            let mut passed = 0;
            for n in 1..=200 {
                passed += usize::from(counted(PROXY, ask(&format!("2001:db8:7:7:{n:x}::{n:x}"))).await);
            }
            assert_eq!(passed, 3, "{kind}");
            assert!(counted(PROXY, ask("2001:db8:7:8::1")).await, "{kind}: the next /64 is another");
        }
    }
    let _case = case(
        "C10",
        "`::ffff:10.0.0.5` is 10.0.0.5 wherever an address is counted or told (there is no address list on routes to \
         compare it with)",
    );
    let spellings =
        ["10.0.0.5", "::ffff:10.0.0.5", "::ffff:a00:5", "0:0:0:0:0:ffff:10.0.0.5", "::FFFF:10.0.0.5"];
    let mut passed = Vec::new();
    for spelling in spellings {
        passed.push(counted(PROXY, get("/few/x", &format!("X-Forwarded-For: {spelling}\r\n"))).await);
    }
    assert_eq!(passed, [true, true, true, false, false]);
    assert_eq!(recorder.last().one("x-real-ip"), "10.0.0.5");
}

#[tokio::test]
async fn an_ipv4_client_of_an_ipv6_listener_is_an_ipv4_client() {
    let recorder = Recorder::start().await;
    let mut gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES).with(TRUSTED)).await;
    if std::net::TcpListener::bind("[::]:0").is_err() {
        eprintln!("this machine has no IPv6: its listeners cannot be tried");
        return;
    }
    let config = std::fs::read_to_string(gateway.config_path()).unwrap();
    let port = gateway.port;
    let listening = config.replace(&format!("\"127.0.0.1:{port}\""), &format!("\"[::]:{port}\""));
    std::fs::write(gateway.config_path(), listening).unwrap();
    gateway.restart("TERM").await;
    exchange_from(PROXY, port, get("/public/x", "X-Forwarded-For: 2.2.2.2\r\n")).await;
    assert_eq!(recorder.last().one("x-forwarded-for"), format!("2.2.2.2, {PROXY}"));
    exchange(port, get("/public/x", "X-Forwarded-For: 2.2.2.2\r\n")).await;
    assert_eq!(recorder.last().one("x-forwarded-for"), "127.0.0.1");
}

#[tokio::test]
async fn a_proxy_preamble_is_no_request() {
    let _case = case(
        "C11",
        "the PROXY protocol is not spoken here: a preamble of either version is no request, and nothing behind it is one",
    );
    let (gateway, recorder) = Gateway::before_recorder().await;
    let request = get("/public/x", "");
    let mut second =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x06\x06\x06\x06\x7f\x00\x00\x01\x12\x34\x00\x50".to_vec();
    second.extend_from_slice(request.as_bytes());
    for preamble in [
        format!("PROXY TCP4 6.6.6.6 127.0.0.1 4660 80\r\n{request}").into_bytes(),
        format!("PROXY UNKNOWN\r\n{request}").into_bytes(),
        second,
    ] {
        let answer = exchange_all(gateway.port, &preamble).await;
        assert!(answer.is_empty() || status(&answer) == "400", "{}: {answer}", preamble.escape_ascii());
        assert_eq!(answer.matches("HTTP/1.1 ").count(), usize::from(!answer.is_empty()), "{answer}");
    }
    assert!(recorder.seen().is_empty(), "{:?}", recorder.seen());
}
