//! What the manual shows of sessions, run as it stands there.

use std::process::Command;

use serde_json::Value;

use super::{status, who};
use crate::documents::markdown::Document;
use crate::harness::gateway::ROUTES;
use crate::harness::{Config, Gateway, Recorder, SHOP, run, secret, tokens, wxgate};
use crate::reload::{IN_FORCE, change};

/// What stands for something of the reader's.
const OPENID: &str = "oGZUI0egBJY1zhBYw2KhdUfwVJJE";
const UNIONID: &str = "ocMvos6NjeKLIBqg5Mr9QjxrP1FA";
const SID: &str = "lUpM5ZCgT5W5TVQxXGZC3Q";

#[tokio::test]
async fn the_lines_of_the_manual_see_and_end_sessions() {
    for name in ["docs/operations.md", "docs/operations.zh-CN.md"] {
        let recorder = Recorder::start().await;
        let gateway = Gateway::start(Config::new(recorder.port, ROUTES)).await;
        let (first, second) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "alice").await);
        let ((openid, unionid), folder) = (who(&gateway, &first).await, gateway.folder.path());
        let here = |text: &str| {
            [
                ("/etc/wxgate/admin.token", folder.join("admin.token").to_str().unwrap()),
                ("http://127.0.0.1:9090", &gateway.admin_url("")),
                ("sudo -u wxgate ", ""),
                (OPENID, &openid),
                (UNIONID, &unionid),
                (SID, &tokens::sid(&first)),
            ]
            .iter()
            .fold(text.to_owned(), |text, (shown, own)| text.replace(shown, own))
        };
        let shell = |script: &str| {
            let mut command = Command::new("bash");
            let program = wxgate().get_program().to_owned();
            let path = std::path::Path::new(&program).parent().unwrap().display();
            let script = format!("export PATH='{path}':\"$PATH\"\n{}", here(script));
            command.args(["-euo", "pipefail", "-c", &script]);
            command.env("WXGATE_CONFIG", gateway.config_path());
            let output = run(&mut command);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{name}: {script}\n{said}");
            String::from_utf8(output.stdout).unwrap()
        };

        let document = Document::read(name);
        let at = |text: &str| {
            let found = document.blocks.iter().position(|block| block.text.contains(text));
            found.unwrap_or_else(|| panic!("{name} does not show {text}"))
        };
        let (keygen, by_http, by_command) =
            (at("--alg token"), at("curl -sS -H @-"), at("wxgate sessions list"));
        shell(&document.blocks[keygen].text);
        secret(std::fs::read_to_string(folder.join("admin.token")).unwrap().trim());
        let config = here(&document.blocks[keygen + 1].text).replace("[admin]\n", "");
        change(&gateway, IN_FORCE, |text| text.replacen("[admin]\n", &format!("[admin]\n{config}"), 1)).await;

        // The answer has the shape that is shown.
        let lines: Vec<_> = document.blocks[by_http].text.lines().collect();
        let got: Value = serde_json::from_str(&shell(&lines[..2].join("\n"))).unwrap();
        let shown: Value = serde_json::from_str(&document.blocks[by_http + 1].text).unwrap();
        assert_eq!(got["sessions"].as_array().unwrap().len(), 2, "{name}: {got}");
        let keys =
            |list: &Value| list["sessions"][0].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!((keys(&got), &got["more"]), (keys(&shown), &shown["more"]), "{name}: {got}");
        let said = shell(&document.blocks[by_http].text);
        assert!(said.ends_with("{\"ended\":1}"), "{name}: {said}");
        assert_eq!((status(&gateway, &first).await, status(&gateway, &second).await), (401, 200));

        // The third line shows what was ended just now.
        let commands: Vec<_> = document.blocks[by_command].text.lines().collect();
        assert_eq!(commands.len(), 6, "{name}");
        for (n, wanted) in [(0, "SID"), (1, "\"more\":false"), (3, "no such session"), (4, "1 session ended")]
        {
            let said = shell(commands[n]);
            assert!(said.contains(wanted), "{name}: {}: {said}", commands[n]);
        }
        assert_eq!(status(&gateway, &second).await, 401);
        let again = gateway.log_in(&SHOP, "alice").await;
        let shown = shell(&commands[2].replace(SID, &tokens::sid(&again)));
        assert!(shown.contains(&openid), "{name}: {shown}");
        assert!(shell(commands[5]).contains("1 session ended"), "{name}");
        assert_eq!(status(&gateway, &again).await, 401);
    }
}
