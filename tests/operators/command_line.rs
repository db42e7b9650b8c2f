//! `wxgate sessions`.

use std::process::Command;

use serde_json::Value;

use super::{masked, status, who, with_operator};
use crate::harness::gateway::{ADMIN_TOKEN, write_key_file};
use crate::harness::{Gateway, MERCHANT, SHOP, found_in, free_port, run, tokens, wxgate};

/// `wxgate sessions …` in the folder of the gateway: exit code, standard output, standard error. No AppSecret is in its
/// environment: an operator's shell has none.
fn sessions(
    gateway: &Gateway,
    arguments: &[&str],
    change: impl FnOnce(&mut Command),
) -> (i32, String, String) {
    let mut command = wxgate();
    command.current_dir(gateway.folder.path()).arg("sessions").args(arguments);
    // A proxy in the environment must not be given the credential.
    command.env("HTTP_PROXY", "http://127.0.0.1:9").env_remove("WXGATE_ADMIN_TOKEN");
    change(&mut command);
    let output = run(&mut command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let found = found_in(&format!("{out}{err}"));
    assert!(found.is_empty(), "{arguments:?} shows {found:?}");
    (output.status.code().unwrap(), out, err)
}

fn with_config(command: &mut Command) {
    command.args(["--config", "wxgate.toml"]);
}

#[tokio::test]
async fn an_operator_lists_shows_and_ends_sessions() {
    let (gateway, _recorder) = with_operator().await;
    let (phone, tablet) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "alice").await);
    let merchant = gateway.log_in(&MERCHANT, "alice").await;
    let (openid, unionid) = who(&gateway, &phone).await;
    let sid = tokens::sid(&phone);

    let (code, out, err) = sessions(&gateway, &["list", "--app", "shop", "--openid", &openid], with_config);
    assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 3), "{out}{err}");
    assert!(out.starts_with("SID ") && out.contains(&sid) && out.contains(&masked(&unionid)), "{out}");
    let (_, out, err) =
        sessions(&gateway, &["list", "--unionid", &unionid, "--limit", "2", "--full"], with_config);
    assert!(out.lines().count() == 3 && out.contains(&openid) && err.contains("--limit"), "{out}{err}");
    let json = sessions(&gateway, &["list", "--unionid", &unionid, "--json"], with_config).1;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["sessions"].as_array().unwrap().len(), 3, "{json}");

    let (code, out, _) = sessions(&gateway, &["show", &sid], with_config);
    assert!(code == 0 && out.contains(&masked(&openid)) && !out.contains(&openid), "{out}");
    assert!(sessions(&gateway, &["show", &sid, "--full"], with_config).1.contains(&openid));

    let revoke = |arguments: &[&str]| {
        let (code, out, err) = sessions(&gateway, &[&["revoke"], arguments].concat(), with_config);
        (code, out + &err)
    };
    assert_eq!(revoke(&[&sid]), (0, "1 session ended\n".to_owned()));
    assert_eq!((status(&gateway, &phone).await, status(&gateway, &tablet).await), (401, 200));
    let (code, said) = revoke(&[&sid]);
    assert!(code == 0 && said.contains("no such session is kept"), "{said}");
    assert_eq!(revoke(&["--app", SHOP.appid, "--openid", &openid]), (0, "1 session ended\n".to_owned()));
    assert_eq!(status(&gateway, &tablet).await, 401);
    assert_eq!(revoke(&["--unionid", &unionid, "--json"]), (0, "{\"ended\":1}\n".to_owned()));
    assert_eq!(gateway.get_as(&merchant, "/merchant/x").await.status(), 401);
    assert_eq!(sessions(&gateway, &["list", "--unionid", &unionid], with_config).1, "no session\n");
    let (code, _, err) = sessions(&gateway, &["show", &sid], with_config);
    assert!(code == 1 && err.contains("session_unknown"), "{err}");

    // An id of base64url may look like a flag.
    for odd in ["-cAAAAAAAAAAAAAAAAAAAA", "--AAAAAAAAAAAAAAAAAAAA", "-AAAAAAAAAAAAAAAAAAAAA"] {
        let (code, said) = revoke(&[odd]);
        assert!(code == 0 && said.contains("no such session is kept"), "{odd}: {said}");
    }
}

#[tokio::test]
async fn it_says_what_is_wrong_and_what_to_do() {
    let (gateway, _recorder) = with_operator().await;
    let list = ["list", "--app", "shop", "--openid", "oNobody"];
    let folder = gateway.folder.path();
    write_key_file(&folder.join("other-token"), "Zx9Yw8Vu7Ts6Rq5Po4Nm3Lk2Ji1Hg0FeDcBaMnOp");
    let (admin, with_path) = (gateway.admin_url(""), gateway.admin_url("/sessions"));
    let config = std::fs::read_to_string(gateway.config_path()).unwrap();
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let without = config.replace("token = { file = \"admin-token\" }", "");
    std::fs::write(folder.join("without.toml"), without).unwrap();
    std::fs::write(folder.join("unreadable.toml"), config.replace("\"admin-token\"", "\"gone\"")).unwrap();
    let (free, _other) = Gateway::before_recorder().await;

    for (arguments, code, wanted) in [
        (vec!["--config", "wxgate.toml"], 0, "no session"),
        (vec!["--admin", &admin, "--token-file", "admin-token"], 0, "no session"),
        (vec!["--admin", &admin, "--config", "wxgate.toml"], 0, "no session"),
        // The file need not hold the credential for those who bring it.
        (vec!["--config", "unreadable.toml", "--token-file", "admin-token"], 0, "no session"),
        (vec!["--config", "wxgate.toml", "--token-file", "other-token"], 1, "does not know this credential"),
        (vec!["--config", "wxgate.toml", "--token-file", "gone"], 1, "gone cannot be read"),
        (vec!["--config", "wxgate.toml", "--admin", &nowhere], 1, "no gateway answers at"),
        (vec!["--config", "wxgate.toml", "--admin", "localhost:9090"], 2, "such as http://10.0.0.5:9090"),
        (vec!["--config", "wxgate.toml", "--admin", &with_path], 2, "such as http://10.0.0.5:9090"),
        (vec!["--config", "without.toml"], 1, "without.toml has no admin.token"),
        (vec!["--config", "unreadable.toml"], 78, "admin.token: cannot read"),
        (vec!["--config", "gone.toml"], 78, "gone.toml"),
        (vec!["--admin", &free.admin_url(""), "--token-file", "admin-token"], 1, "(admin_token_not_set)"),
        (vec!["--admin", &gateway.url(""), "--token-file", "admin-token"], 1, "(no_route)"),
        (
            vec!["--admin", &gateway.simulator.url(), "--token-file", "admin-token"],
            1,
            "not the private listener",
        ),
        (vec!["--config", "wxgate.toml", "--limit", "5000"], 1, "(bad_query)"),
    ] {
        let (status, out, err) = sessions(&gateway, &[&list[..], &arguments].concat(), |_| ());
        let said = out + &err;
        assert!(status == code && said.contains(wanted), "{arguments:?}: {status} {said}");
    }
    let by_variable = |command: &mut Command| {
        command.args(["--admin", &admin]).env("WXGATE_ADMIN_TOKEN", format!("{ADMIN_TOKEN}\n"));
    };
    assert_eq!(sessions(&gateway, &list, by_variable).1, "no session\n");
    for usage in [
        &["list"][..],
        &["list", "--app", "shop"],
        &["list", "--openid", "o", "--unionid", "o"],
        &["revoke"],
        &["revoke", "--app", "shop"],
        &["revoke", "AAAAAAAAAAAAAAAAAAAAAA", "--openid", "o"],
        &["revoke", "AAAAAAAAAAAAAAAAAAAAAA", "--app", "shop"],
        &["revoke", "short"],
        &["show"],
    ] {
        let (status, _, err) = sessions(&gateway, usage, with_config);
        assert_eq!(status, 2, "{usage:?}: {err}");
    }
}
