//! A wrong config starts nothing and says everything that is wrong with it.

use std::path::Path;

use crate::harness::{MERCHANT, SHOP, free_port, gateway, root, run, wxgate};

/// Runs a command on a config text: exit code and what it said.
pub(crate) fn said(command: &str, text: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wxgate.toml"), text).unwrap();
    said_in(command, folder.path())
}

pub(crate) fn said_in(command: &str, folder: &Path) -> (i32, String) {
    let mut wxgate = wxgate();
    wxgate.current_dir(folder).args([command, "--config", "wxgate.toml"]);
    wxgate
        .env("WX_SHOP_SECRET", SHOP.secret)
        .env("WX_MERCHANT_SECRET", MERCHANT.secret)
        .env("WXGATE_KEY", gateway::KEY);
    let output = run(&mut wxgate);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

const GOOD: &str = r#"version = 1
[server]
listen = ["127.0.0.1:PORT"]
[admin]
listen = "127.0.0.1:ADMIN"
[token]
keys = [{ kid = "a", env = "WXGATE_KEY" }]
[store]
kind = "memory"
[app.shop]
appid = "wx1111111111111111"
secret = { env = "WX_SHOP_SECRET" }
[upstream.order]
servers = ["127.0.0.1:9"]
[[route]]
path = "/order/*"
upstream = "order"
"#;

pub(crate) fn good() -> String {
    GOOD.replace("PORT", &free_port().to_string()).replace("ADMIN", &free_port().to_string())
}

#[test]
fn a_good_config_is_ok() {
    let (status, text) = said("check", &good());
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("ok (1 routes, 1 upstreams, 1 apps)"), "{text}");
}

#[test]
fn ten_different_mistakes_are_ten_mistakes_with_their_places() {
    let text = r#"version = 2
[server]
listen = ["127.0.0.1:port"]
keepalive_timout = "75s"
[token]
ttl = "2 fortnights"
keys = [{ kid = "a", env = "WXGATE_NO_SUCH_VARIABLE" }]
[app.shop]
appid = "wx111"
secret = { file = "/no/such/file" }
[upstream.order]
servers = []
[[route]]
path = "/order/../*"
upstream = "order"
[[route]]
path = "/goods/*"
upstream = "ordr"
[[route]]
path = "/chat"
upstream = "order"
auth = "maybe"
[store]
kind = "memory"
"#;
    for command in ["check", "run"] {
        let (status, text_said) = said(command, text);
        assert_eq!(status, 78, "{text_said}");
        for line in [1, 3, 4, 6, 7, 9, 10, 12, 14, 18, 22] {
            assert!(
                text_said.contains(&format!("wxgate.toml:{line}:")),
                "line {line} is not named in\n{text_said}"
            );
        }
        assert!(text_said.contains("keepalive_timeout"), "no `did you mean`:\n{text_said}");
        assert!(text_said.contains("order"), "{text_said}");
        assert!(text_said.contains("11 mistakes"), "{text_said}");
        assert!(!text_said.contains("starts"), "{command} started something:\n{text_said}");
    }
}

#[test]
fn a_secret_that_everyone_knows_does_not_start() {
    for key in ["changeme-changeme-changeme-changeme", "00000000000000000000000000000000", "short"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), key).unwrap();
        std::fs::write(
            folder.path().join("wxgate.toml"),
            good().replace("env = \"WXGATE_KEY\"", "file = \"key\""),
        )
        .unwrap();
        let (status, text) = said_in("run", folder.path());
        assert_eq!(status, 78, "{key}: {text}");
        assert!(!text.contains(key), "the secret is shown: {text}");
    }
}

#[test]
fn a_taken_port_is_a_clear_error_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for role in ["PORT", "ADMIN"] {
        let text = GOOD
            .replace(role, &port)
            .replace("PORT", &free_port().to_string())
            .replace("ADMIN", &free_port().to_string());
        let (status, text) = said("run", &text);
        assert_eq!(status, 1, "{text}");
        assert!(text.contains(&port) && text.contains("in use"), "{text}");
    }
}

#[test]
fn what_the_repository_ships_is_good() {
    let mut checked = 0;
    for file in ["production.toml", "wxgate.toml"] {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(root().join("config").join(file)).unwrap();
        // The secrets that the file names, provided beside it.
        let mut provided = text.clone();
        for part in text.split("file = \"").skip(1) {
            let path = part.split('"').next().unwrap();
            let here = folder.path().join(path.replace('/', "_"));
            let key = if path.contains("store") { gateway::STORE_KEY } else { gateway::KEY };
            std::fs::write(&here, key).unwrap();
            provided = provided.replace(&format!("\"{path}\""), &format!("{here:?}"));
        }
        std::fs::write(folder.path().join("wxgate.toml"), provided).unwrap();
        let (status, said) = said_in("check", folder.path());
        assert_eq!(status, 0, "{file}: {said}");
        checked += 1;
    }
    assert_eq!(checked, 2);
}
