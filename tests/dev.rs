//! `wxgate dev`: what it prints can be pasted, in order, and does what it says.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Process, free_port, run, wxgate};

/// Runs the printed lines in one shell, as a person would paste them, and returns what each step printed.
fn paste(guide: &str, folder: &std::path::Path) -> Vec<String> {
    let mut script = "set -u\n".to_owned();
    let mut steps = 0;
    for line in guide.lines() {
        if line.starts_with("# ") {
            script.push_str("printf '\\n@@@@\\n'\n");
            steps += 1;
        } else if line.starts_with("curl ") || line.contains("=$(") {
            script.push_str(line);
            script.push('\n');
        }
    }
    assert_eq!(steps, 8, "the guide has eight steps:\n{guide}");
    let file = folder.join("pasted.sh");
    std::fs::write(&file, script).unwrap();
    let output = run(Command::new("bash").arg(&file));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed.split("@@@@\n").skip(1).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_printed_lines_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let ports = [free_port(), free_port(), free_port(), free_port()];
    let mut command = wxgate();
    command.arg("dev");
    for (flag, port) in ["--port", "--admin-port", "--sim-port", "--echo-port"].iter().zip(ports) {
        command.args([flag.to_string(), port.to_string()]);
    }
    let dev = Process::start("dev", &mut command, folder.path());
    dev.wait_for_line(|line| line.contains("Ctrl-C")).await;
    let client = reqwest::Client::new();
    let ready = format!("http://127.0.0.1:{}/readyz", ports[1]);
    while !client.get(&ready).send().await.is_ok_and(|ready| ready.status() == 200) {
        tokio::task::yield_now().await;
    }
    while tokio::net::TcpStream::connect(("127.0.0.1", ports[0])).await.is_err() {
        tokio::task::yield_now().await;
    }
    let guide = dev.stdout();
    let steps = paste(&guide, folder.path());
    let echoed = |step: &str| -> Value {
        let body = step.trim();
        serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {step}"))
    };
    let openids = |echo: &Value| -> Vec<String> {
        let headers = echo["headers"].as_array().unwrap().iter();
        let is_openid = |name: &str| {
            name.chars()
                .filter(char::is_ascii_alphanumeric)
                .collect::<String>()
                .eq_ignore_ascii_case("xwxopenid")
        };
        headers
            .filter(|header| is_openid(header[0].as_str().unwrap()))
            .map(|header| header[1].as_str().unwrap().to_owned())
            .collect()
    };
    let mine = openids(&echoed(&steps[2]));
    assert!(mine.len() == 1 && mine[0].starts_with('o') && mine[0].len() == 28, "{mine:?}");
    assert!(steps[3].contains("401") && steps[3].contains("token_missing"), "{}", steps[3]);
    assert_eq!(openids(&echoed(&steps[4])), mine);
    assert!(openids(&echoed(&steps[5])).is_empty());
    assert_eq!(echoed(&steps[6])["openid"], mine[0]);
    assert!(steps[7].contains("204") && steps[7].contains("session_ended"), "{}", steps[7]);
}
