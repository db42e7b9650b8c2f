//! What the cases about single requests share: a gateway before a service, and a way to send any bytes through it.

use tokio::sync::OnceCell;

use crate::harness::{Config, Gateway, Outcome, Recorder, SHOP};

const ROUTES: &str = r#"
[[route]]
path = "/api/*"
upstream = "service"
[[route]]
path = "/public/*"
upstream = "service"
auth = "none"
[[route]]
path = "/public/internal/*"
auth = "deny"
[[route]]
path = "/internal/*"
auth = "deny"
[[route]]
path = "/strip/*"
upstream = "service"
strip_prefix = "/strip"
[[route]]
path = "/item/{id}"
upstream = "service"
auth = "none"
methods = ["GET", "POST"]
[[route]]
path = "/foo/{any}/bar"
upstream = "service"
auth = "none"
"#;

/// A gateway before a service that writes down what it sees.
pub(super) struct Fixture {
    pub(super) gateway: Gateway,
    pub(super) recorder: Recorder,
    token: OnceCell<String>,
}

impl Fixture {
    pub(super) async fn start(routes: &str) -> Self {
        Self::start_with(|port| Config::new(port, routes)).await
    }

    /// With a listener for TLS and HTTP/2 beside the plain one.
    pub(super) async fn start_with_tls(routes: &str) -> Self {
        Self::start_with(|port| Config::new(port, routes).with_tls()).await
    }

    async fn start_with(config: impl FnOnce(u16) -> Config) -> Self {
        let recorder = Recorder::start().await;
        let gateway = Gateway::start(config(recorder.port)).await;
        Self { gateway, recorder, token: OnceCell::new() }
    }

    /// The same routes in the order of the file above and in its reverse: every case has the same outcome with both.
    pub(super) async fn in_both_orders() -> [Self; 2] {
        let mut reversed: Vec<_> = ROUTES.split("[[route]]").skip(1).collect();
        reversed.reverse();
        let reversed: String = reversed.iter().map(|route| format!("[[route]]{route}")).collect();
        [Self::start(ROUTES).await, Self::start(&reversed).await]
    }

    /// Of one user who is logged in.
    pub(super) async fn token(&self) -> &str {
        self.token.get_or_init(|| self.gateway.log_in(&SHOP, "alice")).await
    }

    pub(super) async fn send(&self, request: impl AsRef<[u8]>) -> Outcome {
        Outcome::of(&self.gateway, &self.recorder, request).await
    }

    /// A GET of a target, byte for byte.
    pub(super) async fn get(&self, target: impl AsRef<[u8]>) -> Outcome {
        self.send([b"GET ", target.as_ref(), b" HTTP/1.1\r\nHost: gw.test\r\n\r\n"].concat()).await
    }

    /// A GET with a good token.
    pub(super) async fn get_as_alice(&self, target: &str) -> Outcome {
        let token = self.token().await;
        self.send(format!("GET {target} HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\n\r\n"))
            .await
    }

    /// Each target comes to this status, without a token, and to this target at the service if it comes through.
    pub(super) async fn holds(&self, expected: &[(&str, u16, Option<&str>)]) {
        for (target, status, seen) in expected {
            assert_eq!(self.get(target).await.way(), (*status, *seen), "{target:?}");
        }
    }

    /// The same with a token.
    pub(super) async fn holds_for_alice(&self, expected: &[(&str, u16, Option<&str>)]) {
        for (target, status, seen) in expected {
            assert_eq!(self.get_as_alice(target).await.way(), (*status, *seen), "{target:?}");
        }
    }

    /// Each target is malformed, with a token and without, and the connection is not used again.
    pub(super) async fn refuses<T: AsRef<[u8]>>(&self, targets: impl IntoIterator<Item = T>) {
        for target in targets {
            let outcome = self.get(&target).await;
            let shown = target.as_ref().escape_ascii();
            assert_eq!(outcome.way(), (400, None), "{shown}");
            assert_eq!(outcome.header("connection"), Some("close"), "{shown}");
        }
    }
}
