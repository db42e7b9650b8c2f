//! Group M: secrets, logs, timing. The harness starts every gateway of the suite at the loudest level there is, and
//! searches what each wrote, its metrics at the end and every raw refusal for every code, token and key of all tests.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::case;
use crate::harness::{
    Config, Gateway, MERCHANT, Recorder, SHOP, exchange, exchange_all, found_in, free_port, gateway, root,
    secret,
};

/// The ends of an exchange at WeChat of which each is logged in its own way.
const FAULTS: [&str; 9] = [
    "busy",
    "reset",
    "half_body",
    "html_502",
    "huge_body",
    "empty",
    "not_json",
    "redirect",
    "string_errcode",
];

#[tokio::test]
async fn no_level_makes_the_log_show_a_secret() {
    let _case = case(
        "M01",
        "with every crate at trace, and requests that fail in every phase with secrets in each of their parts, the log \
         holds no token, code, key, AppSecret, cookie or query",
    );
    let recorder = Recorder::start().await;
    let routes = format!(
        "{}\n[[route]]\npath = \"/dead/*\"\nupstream = \"dead\"\nauth = \"none\"\n[[route]]\npath = \"/query/*\"\n\
         upstream = \"service\"\ntoken_in_query = true\n",
        gateway::ROUTES
    );
    let mut config = Config::new(recorder.port, &routes).with(
        "[server]\nheader_bytes_max = \"8KiB\"\n[wechat]\ntimeout = \"2s\"\nconnect_timeout = \"1s\"\n",
    );
    config.upstreams.push_str(&format!(
        "read_timeout = \"300ms\"\n[upstream.dead]\nservers = [\"127.0.0.1:{}\"]\n",
        free_port()
    ));
    let gateway = Gateway::start(config).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let (cookie, query) = (secret("cookie-Zk3vQ9xW"), secret("query-b7YpL2mT"));
    let with_secrets = format!(
        "Host: gw.test\r\nAuthorization: Bearer {token}\r\nX-Token: {token}\r\nX-WX-Code: {query}\r\nCookie: sid={cookie}\r\n"
    );
    let target = format!("x?token={token}&code={query}");

    // Heads that are none, cut off, too large, of another protocol.
    for head in [
        format!("GET /public/{target} HTTP/1.1\r\nX-A : b\r\n{with_secrets}\r\n"),
        format!("GET /public/{target} HTTP/9.9\r\n{with_secrets}\r\n"),
        format!("GET /public/{target}\r\n{with_secrets}\r\n"),
        format!("G\u{1}T /public/{target} HTTP/1.1\r\n{with_secrets}\r\n"),
        format!("GET /public/{target} HTTP/1.1\r\n{with_secrets}X-A: {}\r\n\r\n", "a".repeat(32 * 1024)),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{with_secrets}\r\n"),
        format!("POST /public/{target} HTTP/1.1\r\n{with_secrets}Content-Length: {token}\r\n\r\n"),
    ] {
        exchange_all(gateway.port, head).await;
    }
    for cut in
        [format!("GET /public/{target} HT"), format!("GET /public/{target} HTTP/1.1\r\n{with_secrets}")]
    {
        TcpStream::connect(("127.0.0.1", gateway.port))
            .await
            .unwrap()
            .write_all(cut.as_bytes())
            .await
            .unwrap();
    }
    // Requests that the gateway refuses, and those that the service does not answer well.
    for (method, path) in [
        ("GET", "/nowhere/"),
        ("GET", "/public/x HTTP/1.1\r\nHost: "),
        ("GET", "/internal/"),
        ("GET", "/public/../"),
        ("GET", "/merchant/"),
        ("DELETE", "/login/"),
        ("GET", "/dead/"),
    ] {
        exchange(gateway.port, format!("{method} {path}{target} HTTP/1.1\r\n{with_secrets}\r\n")).await;
    }
    let extra = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{token}");
    for answer in [
        format!("garbage {token}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nX-Echo : {token}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {token}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{token}"),
        format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: {token}\r\nConnection: Upgrade\r\n\r\n"),
        extra,
        String::new(),
        "CLOSE".to_owned(),
    ] {
        recorder.answer_with(&answer);
        for path in ["/query/", "/public/"] {
            let head = with_secrets.replace(&format!("Bearer {token}"), "Basic x");
            let request = format!("GET {path}{target} HTTP/1.1\r\n{head}Connection: close\r\n\r\n");
            exchange_all(gateway.port, request).await;
        }
    }
    // A client that goes while its body is on the way, and one whose body is none.
    let post = format!("POST /public/{target} HTTP/1.1\r\n{with_secrets}Transfer-Encoding: chunked\r\n\r\n");
    exchange_all(gateway.port, format!("{post}zz{token}\r\n\r\n")).await;
    TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap().write_all(post.as_bytes()).await.unwrap();
    // Logins that end in every way.
    for fault in FAULTS {
        gateway.simulator.fault(json!({ "kind": fault })).await;
        let code = gateway.simulator.code(&SHOP, "alice").await;
        gateway.login(json!({ "code": code, "appid": SHOP.appid })).await;
    }
    let answer =
        exchange(gateway.port, format!("POST /login?code={query} HTTP/1.1\r\n{with_secrets}\r\n")).await;
    assert!(answer.contains("app_not_named"), "{answer}");

    let log = gateway.process.log();
    assert!(log.contains("asking WeChat again") && log.contains("\"DEBUG\""), "the level is not on: {log}");
    assert_eq!(gateway.process.secrets_written(), [].into());
}

#[tokio::test]
async fn a_refusal_says_a_constant_and_nothing_of_the_request() {
    let _case = case(
        "M02",
        "the body of a refusal is its code, its constant message and the request id: the same whatever was asked with",
    );
    let recorder = Recorder::start().await;
    recorder.answer_with("CLOSE");
    let gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES)).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    for (request, code) in [
        ("GET /api/MARK", "token_missing"),
        ("GET /internal/MARK", "access_denied"),
        ("GET /nowhere/MARK", "no_route"),
        ("GET /public/%2e%2e/MARK", "bad_target"),
        ("GET /public/MARK", "upstream_failed"),
        ("GET /api/MARK|Authorization: Bearer MARK", "token_malformed"),
        ("GET /api/MARK|Authorization: Bearer TOKEN|X-Mark: MARK|Expect: MARK", "bad_expectation"),
        ("GET /merchant/MARK|Authorization: Bearer TOKEN", "app_not_allowed"),
        ("GET /public/MARK|Transfer-Encoding: gzip, chunked|X-Mark: MARK", "bad_framing"),
        ("GET /login/MARK", "no_route"),
        ("PUT /login?MARK", "method_not_allowed"),
        ("POST /login|X-WX-Code: MARK*|Referer: https://servicewechat.com/MARK/", "code_malformed"),
        (
            "POST /login|X-WX-Code: abcdefgh12|Referer: https://servicewechat.com/wx3333333333333333/MARK",
            "app_unknown",
        ),
    ] {
        let mut bodies = ["one%3Cscript%3E", "two'two"].map(|mark| {
            let request = request.replace("MARK", mark).replace("TOKEN", &token);
            let (line, headers) = request.split_once('|').unwrap_or((&request, ""));
            let headers: String = headers.split_terminator('|').map(|line| format!("{line}\r\n")).collect();
            format!("{line} HTTP/1.1\r\nHost: gw.test\r\n{headers}\r\n")
        });
        for body in &mut bodies {
            let answer = exchange(gateway.port, &*body).await;
            let (head, text) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request}: {answer}"));
            let parsed: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{request}: {answer}"));
            assert_eq!(parsed["error"], code, "{request}: {answer}");
            let keys: Vec<_> = parsed.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, ["error", "message", "request_id"], "{request}");
            assert!(head.contains("application/json"), "{request}: {head}");
            *body = text.replace(parsed["request_id"].as_str().unwrap(), "ID");
        }
        assert_eq!(bodies[0], bodies[1], "{request}");
    }
}

#[tokio::test]
async fn a_log_names_a_user_only_in_part() {
    let _case = case(
        "M03",
        "an openid or a unionid stands in no log, at any level: a request's line shows four characters from each end",
    );
    let (gateway, recorder) = Gateway::before_recorder().await;
    let token = gateway.log_in(&SHOP, "a-user-of-this-test-alone").await;
    let answer = gateway.get_as(&token, "/api/x").await;
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    // Noted, so that the harness looks for them in all that is ever written.
    let openid = secret(recorder.last().one("x-wx-openid"));
    secret(recorder.last().one("x-wx-unionid"));
    gateway.get_as(&token, "/session").await;
    gateway.post("/logout").bearer_auth(&token).send().await.unwrap();
    let line = gateway.process.wait_for_line(|line| line.contains(&id)).await;
    let line: Value = serde_json::from_str(&line).unwrap();
    let shown = line["user"].as_str().unwrap();
    assert_eq!(shown, format!("{}****{}", &openid[..4], &openid[openid.len() - 4..]));
    assert_eq!(gateway.process.secrets_written(), [].into());
}

/// What ends a line, a string, or the reader's trust in what the terminal shows.
const HOSTILE: [&[u8]; 8] = [
    b"a\x1b[2Jb",
    b"a\xe2\x80\xaeb",
    b"a\"b",
    b"a\\\",\"outcome\":\"proxied",
    b"a\xc2\x85b",
    b"a\xffb",
    b"a\tb",
    b"a\xf0\x9f\x98\x80b",
];

#[tokio::test]
async fn nothing_that_a_client_sends_makes_a_line_of_its_own() {
    let _case = case(
        "M04",
        "path, query, User-Agent, Referer and Host with escapes, quotes, line ends and right-to-left marks: one line a \
         request, of visible ASCII, as JSON and as text",
    );
    let recorder = Recorder::start().await;
    for format in ["json", "text"] {
        let config =
            Config::new(recorder.port, gateway::ROUTES).with(&format!("[log]\nformat = \"{format}\"\n"));
        let gateway = Gateway::start(config).await;
        let mut requests = 0;
        for hostile in HOSTILE {
            let percent: String = hostile.iter().map(|byte| format!("%{byte:02X}")).collect();
            for (start, end) in [
                ("GET /public/", " HTTP/1.1\r\nHost: gw.test\r\n\r\n"),
                ("GET /nowhere/", " HTTP/1.1\r\nHost: gw.test\r\n\r\n"),
                ("GET /public/x?q=", " HTTP/1.1\r\nHost: gw.test\r\n\r\n"),
                ("GET /public/x HTTP/1.1\r\nHost: gw.test\r\nUser-Agent: ", "\r\n\r\n"),
                ("GET /public/x HTTP/1.1\r\nHost: gw.test\r\nReferer: ", "\r\n\r\n"),
                ("GET /public/x HTTP/1.1\r\nHost: gw.test\r\nX-Request-Id: ", "\r\n\r\n"),
                ("GET /public/x HTTP/1.1\r\nHost: gw.test\r\nX-Forwarded-For: ", "\r\n\r\n"),
                ("GET /public/x HTTP/1.1\r\nHost: ", "\r\n\r\n"),
                ("POST /public/x HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: ", "\r\n\r\n"),
            ] {
                for value in [hostile, percent.as_bytes()] {
                    let answer =
                        exchange(gateway.port, [start.as_bytes(), value, end.as_bytes()].concat()).await;
                    // A head that cannot be read is no request and has no line.
                    requests +=
                        usize::from(answer.contains("X-Request-Id: ") || answer.contains("x-request-id: "));
                }
            }
        }
        let last = gateway.get("/public/last").send().await.unwrap();
        let id = last.headers()["x-request-id"].to_str().unwrap().to_owned();
        gateway.process.wait_for_line(|line| line.contains(&id)).await;
        for text in [gateway.process.stdout(), gateway.process.log()] {
            let odd = text.chars().find(|c| !matches!(c, ' '..='~' | '\n'));
            assert_eq!(odd, None, "{format}: {text}");
        }
        let text = gateway.process.stdout();
        let lines: Vec<_> = text.lines().collect();
        assert!(requests > 60, "{requests}");
        assert_eq!(
            lines.iter().filter(|line| !line.contains("\"status\":0")).count(),
            requests + 1,
            "{format}: {text}"
        );
        for line in lines {
            let one = if format == "json" {
                serde_json::from_str::<Value>(line).is_ok_and(|line| line["outcome"].is_string())
            } else {
                line.starts_with("20") && line.contains(" client=127.0.0.1 id=")
            };
            assert!(one, "{format}: {line}");
        }
    }
}

#[tokio::test]
async fn what_tells_a_caller_about_itself_tells_no_secret() {
    let _case = case(
        "M05",
        "neither the session endpoint nor the key set nor the private listener answers with a token, a session_key or \
         a private key",
    );
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let session = gateway.get_as(&token, "/session").await.text().await.unwrap();
    let parsed: Value = serde_json::from_str(&session).unwrap();
    let keys: Vec<_> = parsed.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["appid", "expires_in", "openid", "session_expires_in", "unionid"]);
    let keys = gateway.get("/.well-known/jwks.json").send().await.unwrap().text().await.unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&keys).unwrap(),
        json!({ "keys": [] }),
        "an HMAC key is no public key"
    );
    let mut shown = session + &keys;
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = gateway.client.get(gateway.admin_url(path)).bearer_auth(&token).send().await.unwrap();
        shown.push_str(&answer.text().await.unwrap());
    }
    // Who the caller is, other tests look for in logs.
    let own = ["openid", "unionid"].map(|name| parsed[name].as_str().unwrap().to_owned());
    assert_eq!(&found_in(&shown) - &own.into(), [].into(), "{shown}");
}

#[tokio::test]
async fn no_secret_is_an_argument_of_the_process() {
    let _case = case(
        "M07",
        "secrets come from files and variables, never as arguments, which every user of the machine can list; a key \
         from a file is not in the environment either, and types that hold secrets cannot be printed",
    );
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let of_process = |file: &str| {
        let bytes = std::fs::read(format!("/proc/{}/{file}", gateway.process.id())).unwrap();
        String::from_utf8_lossy(&bytes).replace('\0', "\n")
    };
    let (arguments, environment) = (of_process("cmdline"), of_process("environ"));
    assert!(arguments.contains("wxgate.toml") && found_in(&arguments).is_empty(), "{arguments}");
    // The tests give the AppSecrets as variables; the key is in a file.
    let given = [SHOP.secret.to_owned(), MERCHANT.secret.to_owned()].into();
    assert_eq!(found_in(&environment), given);
    // No command takes one: a secret option would be listed here.
    for command in ["run", "check", "keygen"] {
        let help = crate::harness::run(crate::harness::wxgate().args([command, "--help"]));
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        for word in ["--secret", "--key", "--password", "--token"] {
            assert!(!help.contains(word), "{command} takes {word}: {help}");
        }
    }
}

#[test]
fn what_is_secret_is_compared_in_constant_time() {
    let _case = case(
        "M08",
        "by construction, since a clock is no test: a signature is judged by the crypto library's own constant-time \
         verification, in one function, a credential of the private listener by its digest in constant time, and nothing else \
         that anybody sends is compared with a secret",
    );
    let text = std::fs::read_to_string(root().join("auth-core/src/keys.rs")).unwrap();
    let (_, body) = text.split_once("fn verifies(").expect("the one function that judges a signature");
    let body = body.split("\n    }\n").next().unwrap();
    assert!(body.contains("hmac::verify(key, message, &tag)"), "{body}");
    assert!(body.contains("jsonwebtoken::crypto::verify(signature,"), "{body}");
    assert!(!body.contains("==") && !body.contains("sign("), "a signature made anew and compared: {body}");
    let text = std::fs::read_to_string(root().join("gateway/src/admin/credential.rs")).unwrap();
    let (code, _) = text.split_once("#[cfg(test)]").unwrap();
    assert_eq!(code.matches("verify_slices_are_equal(").count(), 1, "one comparison, of digests");
    assert_eq!(code.matches("==").count(), code.matches("refusal == Refusal").count(), "{code}");
    // Nobody else makes or opens a signature, a key or an AppSecret to compare it.
    let mut judged = Vec::new();
    for file in crate::harness::sources(&["auth-core/src", "gateway/src"]) {
        // The simulator plays WeChat, with made-up secrets.
        let name = file.to_string_lossy();
        if name.contains("/src/sim") || name.contains("/tests") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        if code.contains(".verifies(") {
            judged.push(file.file_name().unwrap().to_string_lossy().into_owned());
        }
        let compared = code.lines().find(|line| {
            (line.contains("==") || line.contains("!="))
                && (line.contains("expose") || line.contains("signature"))
        });
        assert_eq!(compared, None, "{}", file.display());
    }
    assert_eq!(judged, ["token.rs"]);
}

#[tokio::test]
async fn metrics_hold_no_secret_and_nothing_of_a_request() {
    let _case = case(
        "M09",
        "labels of the metrics come from the config, never from a request: no token, code, openid, path or host is in \
         them",
    );
    let (gateway, recorder) = Gateway::before_recorder().await;
    let token = gateway.log_in(&SHOP, "alice").await;
    gateway.get_as(&token, "/api/x").await;
    secret(recorder.last().one("x-wx-openid"));
    let before = names(&gateway.metrics().await);
    for n in 0..20 {
        let mark = format!("mark{n}");
        let code = secret(format!("made-up-code-of-{mark}"));
        gateway.login(json!({ "code": code, "appid": SHOP.appid })).await;
        gateway
            .get(&format!("/api/{mark}?{mark}"))
            .header(&*mark, &*mark)
            .bearer_auth(&mark)
            .send()
            .await
            .unwrap();
        gateway.get(&format!("/{mark}")).header("host", format!("{mark}.test")).send().await.unwrap();
        let request = format!("{} /public/{mark} HTTP/1.1\r\nHost: gw.test\r\n\r\n", mark.to_uppercase());
        exchange(gateway.port, request).await;
    }
    let metrics = gateway.metrics().await;
    assert!(found_in(&metrics).is_empty() && !metrics.to_lowercase().contains("mark"), "{metrics}");
    // Each outcome at each destination once, however many asked.
    let new: Vec<_> = names(&metrics).into_iter().filter(|name| !before.contains(name)).collect();
    assert!(new.len() < 12, "{new:#?}");
}

/// The names of metrics with their labels.
fn names(metrics: &str) -> Vec<String> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

#[tokio::test]
async fn no_answer_tells_what_made_it() {
    let _case = case(
        "M11",
        "no answer of the gateway names its program, its version or a library in Server, Via or its body, malformed \
         requests included, and no request to a service does",
    );
    let (gateway, recorder) = Gateway::before_recorder().await;
    for request in [
        "GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: gw.test\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: gw.test\r\n\r\n",
        "GET /.well-known/jwks.json HTTP/1.1\r\nHost: gw.test\r\n\r\n",
        "POST /login HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 0\r\n\r\n",
        "GET /public/x HTTP/1.1\r\n\r\n",
        "GET /public/x HTTP/1.0\r\n\r\n",
        "GET /public/x HTTP/9.9\r\nHost: gw.test\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: gw.test\r\nX-A : b\r\n\r\n",
        "nonsense\r\n\r\n",
        "TRACE /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: gw.test\r\n\r\n",
        "CONNECT gw.test:443 HTTP/1.1\r\nHost: gw.test\r\n\r\n",
    ] {
        let answer = exchange(gateway.port, request).await.to_lowercase();
        for word in [
            "\r\nserver:",
            "\r\nvia:",
            "\r\nx-powered-by:",
            "pingora",
            env!("CARGO_PKG_VERSION"),
            ".rs",
            "panic",
        ] {
            assert!(!answer.contains(word), "{request:?}: {word:?} in {answer}");
        }
    }
    for seen in recorder.seen() {
        let head = seen.head.to_lowercase();
        assert!(
            !head.contains("\r\nvia:") && !head.contains("pingora") && !head.contains("wxgate"),
            "{head}"
        );
    }
}
