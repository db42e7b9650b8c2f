//! Several gateways with one Redis, one service and one WeChat.

use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::{Value, json};

use super::gateway::ROUTES;
use super::process::PATIENCE;
use super::{Config, Gateway, Recorder, SHOP};

/// Beside the usual ones.
const MORE_ROUTES: &str = r#"
[[route]]
path = "/strict/*"
upstream = "service"
on_store_down = "deny"
[[route]]
path = "/ws"
upstream = "service"
websocket = true
"#;

pub(crate) struct Nodes {
    pub(crate) all: Vec<Gateway>,
    pub(crate) recorder: Recorder,
    redis: String,
    sections: String,
}

impl Nodes {
    /// Three, ready, with the Redis at this URL.
    pub(crate) async fn start(redis: &str, sections: &str) -> Self {
        let recorder = Recorder::start().await;
        let mut nodes =
            Self { all: Vec::new(), recorder, redis: redis.to_owned(), sections: sections.to_owned() };
        for _ in 0..3 {
            nodes.add().await;
        }
        nodes
    }

    /// One more; which it is.
    pub(crate) async fn add(&mut self) -> usize {
        let store = format!("[store]\nredis = {{ env = \"REDIS_URL\" }}\n{}", self.sections);
        let config = Config::new(self.recorder.port, &format!("{ROUTES}{MORE_ROUTES}"));
        let mut config = config.with_head(&store).with_operator().with_variable("REDIS_URL", &self.redis);
        config.wechat = self.all.first().map(|first| first.simulator.url());
        self.all.push(Gateway::start(config).await);
        self.all.len() - 1
    }

    pub(crate) async fn code(&self, user: &str) -> String {
        self.all[0].simulator.code(&SHOP, user).await
    }

    /// Status and answer of a login with this code.
    pub(crate) async fn log_in_with(&self, node: usize, code: &str) -> (u16, Value) {
        self.all[node].login(json!({ "code": code, "appid": SHOP.appid })).await
    }

    /// The token.
    pub(crate) async fn log_in(&self, node: usize, user: &str) -> String {
        let (status, answer) = self.log_in_with(node, &self.code(user).await).await;
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Status and reason of a logout.
    pub(crate) async fn log_out(&self, node: usize, token: &str) -> (u16, String) {
        told(&self.all[node].post("/logout").bearer_auth(token).send().await.unwrap())
    }

    /// Status and reason.
    pub(crate) async fn ask(&self, node: usize, token: &str, path: &str) -> (u16, String) {
        told(&self.all[node].get_as(token, path).await)
    }

    /// What every node says to a token.
    pub(crate) async fn all_say(&self, token: &str, path: &str) -> Vec<(u16, String)> {
        let mut said = Vec::new();
        for node in 0..self.all.len() {
            said.push(self.ask(node, token, path).await);
        }
        said
    }

    /// Every node lets it through.
    pub(crate) async fn all_pass(&self, token: &str) {
        let said = self.all_say(token, "/api/x").await;
        assert!(said.iter().all(|(status, _)| *status == 200), "{said:?}");
    }

    /// Waits until every node refuses the token, and how long the last one took. None lets it in again.
    pub(crate) async fn all_refuse(&self, token: &str) -> Duration {
        let (began, ended) = (Instant::now(), (401, "session_ended".to_owned()));
        for node in 0..self.all.len() {
            while self.ask(node, token, "/api/x").await != ended {
                assert!(began.elapsed() < PATIENCE, "node {node} lets an ended session in");
            }
        }
        let took = began.elapsed();
        assert_eq!(self.all_say(token, "/api/x").await, vec![ended; self.all.len()]);
        took
    }

    /// Whether a node is ready, and what it says that is not.
    pub(crate) async fn readiness(&self, node: usize) -> (u16, Value) {
        let gateway = &self.all[node];
        let answer = gateway.client.get(gateway.admin_url("/readyz")).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Waits until every node is ready again.
    pub(crate) async fn all_ready(&self) {
        let began = Instant::now();
        for node in 0..self.all.len() {
            while self.readiness(node).await.0 != 200 {
                assert!(began.elapsed() < PATIENCE, "{:?}", self.readiness(node).await);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn told(answer: &Response) -> (u16, String) {
    let reason = answer.headers().get("x-wxgate-error").map(|code| code.to_str().unwrap().to_owned());
    (answer.status().as_u16(), reason.unwrap_or_default())
}
