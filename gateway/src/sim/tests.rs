//! The simulator and the echo service, driven over a loopback socket like any other client would.

mod exchange;
mod session_key;
mod access_token;
mod phone;
mod open_data;
mod faults;
mod control;
mod echo;
mod docs;

use std::sync::Arc;

use auth_core::{AppId, AppSecret, ManualClock};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{Settings, SimApp, serve, serve_echo};

const SHOP: &str = "wx4f4bc4dec97d474b";
const CLUB: &str = "wx00000000000000c1";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const START: u64 = 1_790_000_000;

/// A running simulator with two apps of one Open Platform account; it ends when this is dropped.
struct Sim {
    clock: Arc<ManualClock>,
    server: Server,
}

struct Server {
    url: String,
    client: Client,
    _shutdown: oneshot::Sender<()>,
}

impl Server {
    async fn start<F>(run: impl FnOnce(TcpListener, oneshot::Receiver<()>) -> F) -> Self
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (shutdown, ended) = oneshot::channel();
        tokio::spawn(run(listener, ended));
        let client =
            Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { url, client, _shutdown: shutdown }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }
}

async fn start_echo() -> Server {
    Server::start(|listener, ended| serve_echo(listener, async move { drop(ended.await) })).await
}

impl std::ops::Deref for Sim {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Sim {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let mut settings = Settings::new(vec![app(SHOP), app(CLUB)], Arc::clone(&clock) as _);
        change(&mut settings);
        let server =
            Server::start(|listener, ended| serve(listener, settings, async move { drop(ended.await) }));
        Self { clock, server: server.await }
    }

    /// A control call that works.
    async fn control(&self, path: &str, input: Value) -> Value {
        let answer = self.post(path).json(&input).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{path} {input}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// `wx.login` of a user of the shop.
    async fn login(&self, user: &str) -> String {
        let minted = self.control("/_sim/codes", json!({ "appid": SHOP, "user": user })).await;
        minted["code"].as_str().unwrap().to_owned()
    }

    fn exchange_as(&self, appid: &str, secret: &str, code: &str) -> RequestBuilder {
        let query =
            [("appid", appid), ("secret", secret), ("js_code", code), ("grant_type", "authorization_code")];
        self.get("/sns/jscode2session").query(&query)
    }

    /// Exchanges a code of the shop.
    async fn exchange(&self, code: &str) -> Value {
        json_of(self.exchange_as(SHOP, SECRET, code).send().await.unwrap()).await
    }

    async fn access_token(&self) -> String {
        let query = [("grant_type", "client_credential"), ("appid", SHOP), ("secret", SECRET)];
        let answer = json_of(self.get("/cgi-bin/token").query(&query).send().await.unwrap()).await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn fault(&self, input: Value) {
        self.control("/_sim/faults", input).await;
    }
}

fn app(appid: &str) -> SimApp {
    SimApp {
        appid: AppId::parse(appid).unwrap(),
        secret: AppSecret::new(SECRET.to_owned()).unwrap(),
        open_platform: Some("acme".to_owned()),
    }
}

async fn json_of(answer: Response) -> Value {
    let text = answer.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

/// The hex HMAC that proves a `session_key`.
fn signature(session_key: &str) -> String {
    use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
    super::calls::hex(sign(&Key::new(HMAC_SHA256, session_key.as_bytes()), b"").as_ref())
}
