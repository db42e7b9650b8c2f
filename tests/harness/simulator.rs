//! The WeChat simulator as a process, and the test's hand on it.

use std::path::Path;

use serde_json::{Value, json};

use super::process::{Process, wxgate};
use super::{free_port, secret};

/// An app that the simulator and the gateway know.
pub(crate) struct App {
    pub(crate) name: &'static str,
    pub(crate) appid: &'static str,
    pub(crate) secret: &'static str,
}

pub(crate) const SHOP: App =
    App { name: "shop", appid: "wx1111111111111111", secret: "5e1fa77e0c3b4d2a9c8b7a6f5e4d3c2b" };
pub(crate) const MERCHANT: App =
    App { name: "merchant", appid: "wx2222222222222222", secret: "c0ffee00d15ea5e0deadbeef12345678" };

pub(crate) struct Simulator {
    pub(crate) port: u16,
    process: Process,
    client: reqwest::Client,
}

impl Simulator {
    pub(crate) async fn start(folder: &Path) -> Self {
        let port = free_port();
        let mut command = wxgate();
        command.args(["sim", "--listen", &format!("127.0.0.1:{port}")]);
        for app in [SHOP, MERCHANT] {
            // Both bound to one Open Platform account, so that a user has one unionid.
            command.args(["--app", &format!("{}:{}:platform", app.appid, secret(app.secret))]);
        }
        let process = Process::start("simulator", &mut command, folder);
        let simulator = Self { port, process, client: reqwest::Client::new() };
        simulator.process.wait_for_line(|line| line.contains("listening")).await;
        simulator
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A fresh code, as `wx.login` gives it to `user`.
    pub(crate) async fn code(&self, app: &App, user: &str) -> String {
        let answer = self.control("codes", json!({ "appid": app.appid, "user": user })).await;
        secret(answer["code"].as_str().unwrap())
    }

    /// Exchanges a code past the gateway, as whoever has the AppSecret could.
    pub(crate) async fn exchange(&self, app: &App, code: &str) -> Value {
        let query =
            format!("appid={}&secret={}&js_code={code}&grant_type=authorization_code", app.appid, app.secret);
        let answer =
            self.client.get(format!("{}/sns/jscode2session?{query}", self.url())).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// What goes wrong next at WeChat.
    pub(crate) async fn fault(&self, fault: Value) {
        self.control("faults", fault).await;
    }

    /// How many code exchanges it has been asked for.
    pub(crate) async fn exchanges(&self) -> usize {
        let calls = self.calls().await;
        calls.iter().filter(|call| call["path"] == "/sns/jscode2session").count()
    }

    /// Every call of WeChat's API so far.
    pub(crate) async fn calls(&self) -> Vec<Value> {
        let answer = self.client.get(format!("{}/_sim/calls", self.url())).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["calls"].as_array().unwrap().clone()
    }

    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        let answer =
            self.client.post(format!("{}/_sim/{path}", self.url())).json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }
}
