//! A disk without room: it refuses new logins, says so, and keeps nobody out who is in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Config, Gateway, PATIENCE, Recorder, SHOP, gateway, run};
use crate::sessions::limit_files;

/// Logins until one is refused: the file may have some pages to spare.
const LOGINS_MAX: usize = 500;

/// A gateway whose store is a file at `path`, started by `launcher`.
async fn on(path: &Path, launcher: &[&str]) -> (Gateway, Recorder) {
    let recorder = Recorder::start().await;
    let mut gateway = Gateway::start(Config::new(recorder.port, gateway::ROUTES).with_head("")).await;
    gateway.process.signal("TERM");
    gateway.process.end().await;
    let config = std::fs::read_to_string(gateway.config_path()).unwrap();
    let with_path = config.replacen("\n[store]\n", &format!("\n[store]\npath = \"{}\"\n", path.display()), 1);
    assert_ne!(config, with_path);
    std::fs::write(gateway.config_path(), with_path).unwrap();
    gateway.start_again_under(launcher).await;
    (gateway, recorder)
}

/// Waits until readiness names these parts in trouble; it is ready all the while.
async fn until_degraded(gateway: &Gateway, parts: &Value) {
    let began = Instant::now();
    loop {
        let answer = gateway.client.get(gateway.admin_url("/readyz")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let ready: Value = answer.json().await.unwrap();
        if ready["degraded"] == *parts {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{ready}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// From when `fill` has filled the disk until `clear` makes room again; with the token of a login before and of one after.
async fn fills_up(gateway: &Gateway, fill: impl Fn(), clear: impl Fn()) -> [String; 2] {
    let alice = gateway.log_in(&SHOP, "alice").await;
    fill();
    let mut refused = None;
    for n in 0..LOGINS_MAX {
        let code = gateway.simulator.code(&SHOP, &format!("user-{n}")).await;
        let body = json!({ "code": code, "appid": SHOP.appid });
        let (status, answer) = gateway.login(body.clone()).await;
        if status != 200 {
            assert_eq!((status, &answer["error"]), (503, &json!("store_unavailable")), "{answer}");
            refused = Some(body);
            break;
        }
    }
    let body = refused.expect("a login is refused on a full disk");
    assert_eq!(gateway.login(body.clone()).await.0, 503, "again");
    assert_eq!(gateway.get_as(&alice, "/api/x").await.status(), 200, "a token that is out is good");
    // It has requests to serve still.
    until_degraded(gateway, &json!(["store"])).await;
    gateway.process.wait_for_log("the session store could not write").await;

    clear();
    let (status, answer) = gateway.login(body).await;
    assert_eq!(status, 200, "the code of a login that found no room is not lost: {answer}");
    until_degraded(gateway, &json!([])).await;
    let bob = answer["token"].as_str().unwrap().to_owned();
    for token in [&alice, &bob] {
        let session: Value = gateway.get_as(token, "/session").await.json().await.unwrap();
        assert!(session["session_expires_in"].is_u64(), "{session}");
    }
    [alice, bob]
}

#[tokio::test]
async fn a_file_that_cannot_grow_refuses_logins_and_serves_tokens() {
    let folder = tempfile::tempdir().unwrap();
    // A write beyond the limit of a file's size is then an error, and not the end of the process.
    let (mut gateway, _recorder) = on(&folder.path().join("store"), &["env", "--ignore-signal=XFSZ"]).await;
    // The store is larger than that, what is logged meanwhile is not.
    let tokens =
        fills_up(&gateway, || limit_files(&gateway, "65536"), || limit_files(&gateway, "unlimited")).await;
    gateway.restart("KILL").await;
    for token in tokens {
        let session: Value = gateway.get_as(&token, "/session").await.json().await.unwrap();
        assert!(session["session_expires_in"].is_u64(), "{session}");
    }
}

/// A file system of its own, as large as `small` says, that no other process sees.
const ON_A_SMALL_DISK: [&str; 8] = [
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    "mount -t tmpfs -o size=3m small \"$1\" && shift && exec \"$@\"",
    "sh",
    // The place of the folder.
    "",
];

#[tokio::test]
async fn a_full_file_system_refuses_logins_and_serves_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let mut launcher = ON_A_SMALL_DISK;
    launcher[7] = folder.path().to_str().unwrap();
    // Some systems let none but root have one.
    let tried = run(Command::new(launcher[0]).args(&launcher[1..]).arg("true"));
    if !tried.status.success() {
        eprintln!("left out: no file system of its own here: {}", String::from_utf8_lossy(&tried.stderr));
        return;
    }
    let (gateway, _recorder) = on(&folder.path().join("store"), &launcher).await;
    let seen_by_it = PathBuf::from(format!("/proc/{}/root", gateway.process.id()));
    let filler = seen_by_it.join(folder.path().strip_prefix("/").unwrap()).join("filler");
    let fill = || {
        let filled = std::fs::write(&filler, vec![1; 4 << 20]);
        assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    };
    fills_up(&gateway, fill, || std::fs::remove_file(&filler).unwrap()).await;
}
