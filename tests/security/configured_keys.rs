//! Group E, the keys of the config: which are taken, and how one follows another.

use auth_core::keys::{Algorithm, generate};
use secrecy::ExposeSecret;

use super::case;
use super::warm::CACHES;
use crate::harness::{Config, Gateway, MERCHANT, Recorder, SHOP, gateway, run, wxgate};

#[tokio::test]
async fn a_key_that_is_none_does_not_start() {
    let (gateway, _recorder) = Gateway::before_recorder().await;
    let _case = case(
        "E22",
        "a short secret, a public key or a key of another kind in the config is an error at start that does not repeat it",
    );
    let folder = gateway.folder.path();
    for key in [
        "Zt8rV0sQ2nYx5Lk9WmB3cJ7dHf1gPa4",
        "f3c1a97be0d2456889ab10c7d35e6f42f3c1",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----",
        "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAllKAllKAllKAllKAllKAllKAllKAllKAllKAllKAll me@here",
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
        "",
    ] {
        std::fs::write(folder.join("key"), key).unwrap();
        for command in ["check", "run"] {
            let mut wxgate = wxgate();
            wxgate.current_dir(folder).args([command, "--config", "wxgate.toml"]);
            wxgate.env("SECRET_shop", SHOP.secret).env("SECRET_merchant", MERCHANT.secret);
            let output = run(&mut wxgate);
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert_eq!(output.status.code(), Some(78), "{command} with {key}: {said}");
            assert!(said.contains("token.keys"), "{command}: {said}");
            assert!(key.is_empty() || !said.contains(&key[..key.len().min(20)]), "the key is shown: {said}");
        }
    }
}

#[tokio::test]
async fn keys_are_changed_with_an_overlap() {
    for cache in CACHES {
        let recorder = Recorder::start().await;
        let _case = case(
            "E23",
            "a token of the old key passes while both keys are configured, and from then on never again",
        );
        let both = "keys = [{ kid = \"new\", file = \"new\" }, { kid = \"test\", file = \"key\" }]";
        let config = Config::new(recorder.port, gateway::ROUTES).with(&format!("[token]\n{cache}"));
        let mut gateway = Gateway::start(config).await;
        let old = gateway.log_in(&SHOP, "alice").await;
        let new_key = generate(Algorithm::Hs256);
        gateway::write_key_file(&gateway.folder.path().join("new"), new_key.expose_secret());
        let first = std::fs::read_to_string(gateway.config_path()).unwrap();
        let line = first.lines().find(|line| line.starts_with("keys = ")).unwrap().to_owned();

        std::fs::write(gateway.config_path(), first.replace(&line, both)).unwrap();
        gateway.restart("TERM").await;
        let new = gateway.log_in(&SHOP, "alice").await;
        for token in [&old, &new, &old] {
            assert_eq!(gateway.get_as(token, "/api/x").await.status(), 200);
        }

        let only_new = "keys = [{ kid = \"new\", file = \"new\" }]";
        std::fs::write(gateway.config_path(), first.replace(&line, only_new)).unwrap();
        gateway.restart("TERM").await;
        let seen = recorder.seen().len();
        for _ in 0..2 {
            let refused = gateway.get_as(&old, "/api/x").await;
            assert_eq!(refused.headers()["x-wxgate-error"], "token_key_unknown");
            assert_eq!(refused.status(), 401);
        }
        assert_eq!(recorder.seen().len(), seen);
        assert_eq!(gateway.get_as(&new, "/api/x").await.status(), 200);
    }
}
