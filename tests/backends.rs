//! The example services of `examples/backends`, run behind a real gateway.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use auth_core::keys::Algorithm;
use serde_json::{Value, json};

use crate::documents::markdown::Document;
use crate::harness::{Config, Gateway, KeyFile, Process, Recorder, SHOP, free_port, root, run};

const ROUTES: &str = "[[route]]\npath = \"/api/*\"\nupstream = \"service\"\nauth = \"optional\"\n";

/// Run here, each in a test of its own.
const RUN: [&str; 6] = ["assertion-express", "assertion-flask", "express", "fastapi", "flask", "php"];
/// Their frameworks or languages are more than a test may ask for: PHP files are parsed, the others only read.
const SHOWN: [(&str, &str); 4] = [
    ("gin", "main.go"),
    ("laravel", "routes/api.php"),
    ("spring", "src/main/java/demo/App.java"),
    ("thinkphp", "app/controller/Me.php"),
];

#[tokio::test]
async fn flask_reads_who_calls() {
    let python = python_with("flask");
    reads_who_calls("flask", Command::new(python).arg("app.py")).await;
}

#[tokio::test]
async fn fastapi_reads_who_calls() {
    let python = python_with("fastapi");
    reads_who_calls("fastapi", Command::new(python).arg("app.py")).await;
}

#[tokio::test]
async fn express_reads_who_calls() {
    let server = server_with_modules("express");
    reads_who_calls("express", Command::new("node").arg(server)).await;
}

#[tokio::test]
async fn express_checks_the_assertion() {
    let server = server_with_modules("assertion-express");
    checks_the_assertion("assertion-express", Command::new("node").arg(server)).await;
}

#[tokio::test]
async fn flask_checks_the_assertion() {
    let python = python_with("assertion-flask");
    checks_the_assertion("assertion-flask", Command::new(python).arg("app.py")).await;
}

#[tokio::test]
async fn php_reads_who_calls() {
    let port = free_port();
    let mut command = Command::new("php");
    command.args(["-S", &format!("127.0.0.1:{port}"), "index.php"]);
    reads_who_calls_on("php", port, &mut command).await;
}

#[test]
fn php_examples_that_are_only_shown_parse() {
    let files: Vec<_> = SHOWN.iter().filter(|(_, file)| file.ends_with(".php")).collect();
    assert_eq!(files.len(), 2);
    for (name, file) in files {
        let parsed = run(Command::new("php").arg("-l").arg(example(name).join(file)));
        assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stdout));
    }
}

#[test]
fn every_example_is_run_or_said_not_to_be() {
    let folders = std::fs::read_dir(root().join("examples/backends")).unwrap().map(Result::unwrap);
    let folders = folders.filter(|entry| entry.path().is_dir());
    let folders: BTreeSet<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let known = RUN.into_iter().chain(SHOWN.map(|(name, _)| name)).map(str::to_owned);
    assert_eq!(folders, known.collect());
    for (name, file) in SHOWN {
        let text = std::fs::read_to_string(example(name).join(file)).unwrap().to_ascii_lowercase();
        for header in ["x-wx-openid", "x-wx-appid", "x-wx-unionid"] {
            assert!(text.contains(header), "{name} does not read {header}");
        }
    }
    let readme = Document::read("examples/backends/README.md");
    let rows: Vec<_> = readme.rows().collect();
    for name in &folders {
        let row = rows.iter().find(|row| row[0].starts_with(&format!("[{name}]")));
        let said = row.unwrap_or_else(|| panic!("the README does not name {name}"))[2].starts_with("run it");
        assert_eq!(said, RUN.contains(&name.as_str()), "the README says otherwise of {name}");
    }
}

/// For services that take their port from `PORT`.
async fn reads_who_calls(name: &str, command: &mut Command) {
    let port = free_port();
    reads_who_calls_on(name, port, command.env("PORT", port.to_string())).await;
}

async fn reads_who_calls_on(name: &str, port: u16, command: &mut Command) {
    let gateway = Gateway::start(Config::new(port, ROUTES)).await;
    let _service = service(name, port, command, &gateway).await;
    is_told_who_calls(name, &gateway).await;
}

/// For services that believe a signed assertion alone: nobody who reaches them past the gateway, and nothing that was not
/// signed for them.
async fn checks_the_assertion(name: &str, command: &mut Command) {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let (port, other, key) = (free_port(), Recorder::start().await, KeyFile::new(algorithm));
        let routes = format!("{ROUTES}[[route]]\npath = \"/other/*\"\nupstream = \"other\"\n");
        let keys = format!("[token]\nkeys = [{}]\n", key.entry("new"));
        let mut config = Config::new(port, &routes).with(&keys);
        config.upstreams.push_str(&format!(
            "assertion = true\n[upstream.other]\nservers = [\"127.0.0.1:{}\"]\nassertion = true\n",
            other.port
        ));
        let gateway = Gateway::start(config).await;
        command.env("PORT", port.to_string()).env("GATEWAY", gateway.url("")).env("AUDIENCE", "service");
        let _service = service(name, port, command, &gateway).await;
        is_told_who_calls(name, &gateway).await;

        let token = gateway.log_in(&SHOP, "alice").await;
        gateway.get_as(&token, "/other/x").await;
        let for_another = other.last().one("x-wx-assertion").to_owned();
        let past_the_gateway = |header: &str, value: &str| {
            gateway.client.get(format!("http://127.0.0.1:{port}/api/me")).header(header, value).send()
        };
        for wrong in ["", "a.b.c", &token, &for_another, &format!("{for_another}x")] {
            let answer = past_the_gateway("X-WX-Assertion", wrong).await.unwrap();
            assert_eq!(answer.status(), 401, "{name} believes {wrong:?}");
        }
        let answer: Value = past_the_gateway("X-WX-OPENID", "oEvil").await.unwrap().json().await.unwrap();
        assert_eq!(answer["openid"], Value::Null, "{name} believes a header");
    }
}

/// Starts the service and waits until it listens.
async fn service(name: &str, port: u16, command: &mut Command, gateway: &Gateway) -> Process {
    let command = command.current_dir(example(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    let mut service = Process::start(name, command, gateway.folder.path());
    wait_for(&mut service, port).await;
    service
}

async fn is_told_who_calls(name: &str, gateway: &Gateway) {
    let token = gateway.log_in(&SHOP, "alice").await;
    let session: Value = gateway.get_as(&token, "/session").await.json().await.unwrap();
    let seen: Value = gateway.get_as(&token, "/api/me").await.json().await.unwrap();
    for key in ["openid", "appid", "unionid"] {
        assert!(session[key].as_str().is_some_and(|id| !id.is_empty()), "{session}");
        assert_eq!(seen[key], session[key], "{name} sees {seen}, not {session}");
    }

    let forged = [
        "X-WX-OPENID",
        "x_wx_openid",
        "X-WX_OPENID",
        "X-WX-APPID",
        "X_WX_APPID",
        "X-WX-UNIONID",
        "x_wx_unionid",
    ];
    let forge = |request: reqwest::RequestBuilder| {
        forged.iter().fold(request, |r, header| r.header(*header, "oEvil"))
    };
    let anonymous: Value = forge(gateway.get("/api/me")).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        anonymous,
        json!({ "openid": null, "appid": null, "unionid": null }),
        "{name} believes a client"
    );
    let claimed: Value =
        forge(gateway.get("/api/me").bearer_auth(&token)).send().await.unwrap().json().await.unwrap();
    assert_eq!(claimed, seen, "{name} believes a client");
}

async fn wait_for(service: &mut Process, port: u16) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(service.ended().is_none(), "the service ended");
        assert!(std::time::Instant::now() < deadline, "the service does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The server of an example in a folder with its modules: Node finds modules beside the file that asks for them.
fn server_with_modules(name: &str) -> PathBuf {
    let folder = prepared(name, "package-lock.json", |folder| {
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(example(name).join(file), folder.join(file)).unwrap();
        }
        installed(
            Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                .current_dir(folder),
        );
    });
    let server = folder.join("server.js");
    std::fs::copy(example(name).join("server.js"), &server).unwrap();
    server
}

/// A Python with the requirements of an example.
fn python_with(name: &str) -> PathBuf {
    let folder = prepared(name, "requirements.txt", |folder| {
        installed(Command::new("python3").args(["-m", "venv"]).arg(folder));
        let requirements = example(name).join("requirements.txt");
        installed(
            Command::new(folder.join("bin/python"))
                .args(["-m", "pip", "install", "-q", "-r"])
                .arg(requirements),
        );
    });
    folder.join("bin/python")
}

/// A folder made by `make` and kept between runs, as long as the example's `list` of dependencies stays as it is.
fn prepared(name: &str, list: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("backends").join(name);
    let (wanted, stamp) =
        (std::fs::read_to_string(example(name).join(list)).unwrap(), folder.join("made-from"));
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return folder;
    }
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    make(&folder);
    std::fs::write(stamp, wanted).unwrap();
    folder
}

fn installed(command: &mut Command) {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn example(name: &str) -> PathBuf {
    root().join("examples/backends").join(name)
}
