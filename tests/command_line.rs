//! The other commands.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Gateway, SHOP, run, secret, wxgate};

fn output(command: &mut std::process::Command) -> (i32, String) {
    let output = run(command);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

#[test]
fn keygen_makes_keys_that_are_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    for alg in ["hs256", "es256", "eddsa"] {
        let file = folder.path().join(alg);
        let keygen = || output(wxgate().args(["keygen", "--alg", alg, "--out"]).arg(&file));
        assert_eq!(keygen().0, 0);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let key = secret(std::fs::read_to_string(&file).unwrap().trim());
        auth_core::keys::Key::parse("k", key.as_bytes()).unwrap();
        let (status, said) = keygen();
        assert!(status == 1 && said.contains(alg), "{said}");
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), key);
    }
    let printed = output(wxgate().arg("keygen")).1;
    assert_eq!(printed.trim().len(), 43);
    let seals = secret(output(wxgate().args(["keygen", "--alg", "aes256"])).1.trim());
    auth_core::session::SealKey::parse("k", seals.as_bytes()).unwrap();
    let credential = output(wxgate().args(["keygen", "--alg", "token"])).1;
    let stands_in_header = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    assert!(credential.trim().len() == 43 && credential.trim().bytes().all(stands_in_header), "{credential}");
}

#[test]
fn version_schema_and_completions_print() {
    let version = concat!("wxgate ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(output(wxgate().arg("version")), (0, version.to_owned()));
    assert_eq!(output(wxgate().arg("--version")), (0, version.to_owned()));
    let schema: serde_json::Value = serde_json::from_str(&output(wxgate().arg("schema")).1).unwrap();
    assert!(schema["properties"]["route"].is_object(), "{schema}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(output(wxgate().args(["completions", shell])).1.contains("wxgate"), "{shell}");
    }
    assert_eq!(output(wxgate().arg("nonsense")).0, 2);
}

#[tokio::test]
async fn explain_says_the_route_the_verdict_and_why() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let explain = |arguments: &[&str]| {
        let mut command = wxgate();
        command
            .current_dir(gateway.folder.path())
            .args(["explain", "--config", "wxgate.toml"])
            .args(arguments);
        command.env("SECRET_shop", SHOP.secret).env("SECRET_merchant", crate::harness::MERCHANT.secret);
        output(&mut command).1
    };
    for (arguments, wanted) in [
        (vec!["GET", "http://gw.test/api/x"], "verdict   refused: 401 token_missing"),
        (vec!["GET", "/api/x", "--token", &token], "verdict   passes"),
        (vec!["GET", "/merchant/x", "--token", &token], "verdict   refused: 403 app_not_allowed"),
        (vec!["GET", "/internal/x", "--token", &token], "verdict   refused: 403 access_denied"),
        (vec!["GET", "/public/../internal"], "verdict   refused: 400 bad_target"),
        (vec!["GET", "/nowhere"], "verdict   refused: 404 no_route"),
        (vec!["POST", "/login"], "route     the gateway's own endpoint `login`"),
        (vec!["GET", "/api/x", "--token", "garbage"], "verdict   refused: 401 token_malformed"),
        (vec!["GET", "/%61pi/x"], "path /api/x"),
    ] {
        let said = explain(&arguments);
        assert!(said.contains(wanted), "{arguments:?}:\n{said}");
    }
}
