//! The README's own words, run: its curl lines give the answers it shows, its nginx passes requests on.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::documents::markdown::Document;
use crate::harness::{Config, Gateway, Process, Recorder, SHOP, free_port, run, wxgate};

#[tokio::test]
async fn the_lines_of_the_five_minutes_give_the_answers_that_are_shown() {
    for name in ["README.md", "README.zh-CN.md"] {
        the_lines_give_the_answers(name, 4).await;
    }
}

#[tokio::test]
async fn the_lines_about_session_data_give_the_answers_that_are_shown() {
    for name in ["docs/session-data.md", "docs/session-data.zh-CN.md"] {
        the_lines_give_the_answers(name, 6).await;
    }
}

/// Runs the lines of a document with `wxgate dev`; at least so many answers are shown.
async fn the_lines_give_the_answers(name: &str, answers_min: usize) {
    let folder = TempDir::with_prefix("wxgate-readme").unwrap();
    let ports = [("8080", free_port()), ("9090", free_port()), ("9100", free_port()), ("9101", free_port())];
    let mut command = wxgate();
    command.arg("dev");
    for (option, (_, port)) in ["--port", "--admin-port", "--sim-port", "--echo-port"].iter().zip(&ports) {
        command.args([option, port.to_string().as_str()]);
    }
    let dev = Process::start("dev", &mut command, folder.path());
    dev.wait_for_line(|line| line.contains("Ctrl-C")).await;
    for (_, port) in &ports[..2] {
        let open = tokio::time::timeout(Duration::from_secs(30), open(*port)).await;
        open.expect("the gateway takes connections");
    }
    let here = |text: &str| {
        ports.iter().fold(text.to_owned(), |text, (shown, port)| {
            text.replace(&format!("127.0.0.1:{shown}"), &format!("127.0.0.1:{port}"))
        })
    };

    let (mut script, mut wanted) = (String::new(), Vec::new());
    let document = Document::read(name);
    for (n, block) in document.blocks.iter().enumerate() {
        if block.language == "sh" && block.text.contains("curl ") {
            script.push_str(&here(&block.text));
            if let Some(answer) = document.blocks.get(n + 1).filter(|next| next.language == "console") {
                script.push_str("\necho; echo -----\n");
                wanted.push(without_ids(&answer.text));
            }
        }
    }
    assert!(wanted.len() >= answers_min, "{name} shows only {} answers", wanted.len());
    let output = run(Command::new("bash").args(["-euo", "pipefail", "-c", &script]));
    let said = String::from_utf8(output.stdout).unwrap();
    let got: Vec<_> = said.split("-----\n").map(without_ids).filter(|answer| !answer.is_empty()).collect();
    assert_eq!(got, wanted, "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_nginx_that_is_shown_ends_tls_before_the_gateway() {
    let recorder = Recorder::start().await;
    let routes = "[[route]]\npath = \"/api/*\"\nupstream = \"service\"\n";
    let config = Config::new(recorder.port, routes).with("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let gateway = Gateway::start(config).await;
    let token = gateway.log_in(&SHOP, "alice").await;

    let folder = TempDir::with_prefix("wxgate-nginx").unwrap();
    let at = |file: &str| folder.path().join(file).display().to_string();
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    openssl.args(["-subj", "/CN=shop.example.com", "-keyout", &at("key"), "-out", &at("pem")]);
    assert!(run(&mut openssl).status.success());
    let port = free_port();
    let document = Document::read("README.md");
    let shown =
        document.blocks.iter().find(|block| block.language == "nginx").expect("the README shows an nginx");
    let shown = shown
        .text
        .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
        .replace("/etc/nginx/tls/shop.example.com.pem", &at("pem"))
        .replace("/etc/nginx/tls/shop.example.com.key", &at("key"))
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{}", gateway.port));
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};", at(kind)));
    let text = format!(
        "daemon off; master_process off; pid {}; error_log stderr; events {{}}\nhttp {{ access_log off; {}\n{shown} }}\n",
        at("pid"),
        paths.concat()
    );
    std::fs::write(at("nginx.conf"), text).unwrap();
    // It stands where an ordinary user's PATH does not look.
    let mut command = Command::new("sh");
    command.args(["-c", "PATH=$PATH:/usr/sbin exec nginx -e stderr -c \"$0\"", &at("nginx.conf")]);
    let _nginx = Process::start("nginx", &mut command, folder.path());
    tokio::time::timeout(Duration::from_secs(30), open(port)).await.expect("nginx takes connections");

    let client = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).build().unwrap();
    let request =
        client.get(format!("https://127.0.0.1:{port}/api/x%41/1")).header("Host", "shop.example.com");
    let answer = request.bearer_auth(token).header("X-WX-OPENID", "evil").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let seen = recorder.last();
    assert_eq!(seen.target(), "/api/xA/1");
    assert_ne!(seen.one("X-WX-OPENID"), "evil");
    assert_eq!(seen.one("X-Forwarded-Proto"), "https");
    assert_eq!(seen.one("X-Forwarded-Host"), "shop.example.com");
    assert_eq!(seen.one("X-Request-Id").len(), 32, "nginx's own id is taken over");
}

async fn open(port: u16) {
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Without what differs each time.
fn without_ids(text: &str) -> String {
    // The clock may tick between the login and the question how long it holds.
    let ticked = text.trim().replace("\"expires_in\":7199", "\"expires_in\":7200");
    let ticked = ticked.replace("\"session_expires_in\":2591999", "\"session_expires_in\":2592000");
    let ticked = without(&ticked, "\"request_id\":\"", |c| c != '"');
    let ticked = without(&ticked, "\"signature\":\"", |c| c != '"');
    ["\"sealed_at\":", "\"timestamp\":"]
        .iter()
        .fold(ticked, |text, name| without(&text, name, |c| c.is_ascii_digit()))
}

/// Without the value that follows `name` each time.
fn without(text: &str, name: &str, of_value: impl Fn(char) -> bool) -> String {
    let mut parts = text.split(name);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + name + part.trim_start_matches(&of_value))
}
