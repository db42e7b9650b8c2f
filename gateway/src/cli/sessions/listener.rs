//! The private listener of a running gateway, as its operator reaches it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use auth_core::Sid;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::How;
use crate::config::{self, Mistakes};
use crate::server;

/// The variable in which a shell may hold the credential.
pub(super) const VARIABLE: &str = "WXGATE_ADMIN_TOKEN";

/// To open a connection: the listener is on this machine or in this network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one answer: a user with many sessions, in a store with much to do.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What is asked of it.
pub(super) struct Asked {
    /// Whether sessions are to end, and not only to be seen.
    pub(super) ends: bool,
    /// One session; else those of a user.
    pub(super) sid: Option<Sid>,
    pub(super) query: Vec<(&'static str, String)>,
}

/// Where it is, and the operator's credential.
pub(super) struct Listener {
    url: Url,
    token: SecretString,
}

impl Listener {
    /// As the arguments say, and the config what they do not.
    pub(super) fn of(how: &How) -> anyhow::Result<Result<Self, Mistakes>> {
        let token = config::given(how.token_file.as_deref(), VARIABLE);
        let token = token.with_context(|| match &how.token_file {
            Some(file) => format!("{} cannot be read", file.display()),
            None => format!("{VARIABLE} cannot be read"),
        })?;
        if let (Some(url), Some(token)) = (&how.admin, &token) {
            return Ok(Ok(Self { url: url.clone(), token: token.clone() }));
        }
        let path = &how.config.config;
        let admin = match config::private_listener(path, token.is_none()) {
            Ok(admin) => admin,
            Err(mistakes) => return Ok(Err(mistakes)),
        };
        let url = match &how.admin {
            Some(url) => url.clone(),
            None => Url::parse(&format!("http://{}", reachable(admin.listen)))?,
        };
        let token = token.or(admin.token).with_context(|| {
            format!("{} has no admin.token: without it nobody may see or end sessions", path.display())
        })?;
        Ok(Ok(Self { url, token }))
    }

    /// What it answers, or why it does not do as it was asked.
    pub(super) fn ask(&self, asked: &Asked) -> anyhow::Result<Value> {
        server::install_crypto_provider()?;
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.asked(asked))
    }

    async fn asked(&self, asked: &Asked) -> anyhow::Result<Value> {
        // Neither a proxy of the environment nor wherever a redirect points is given the credential.
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()?;
        let mut url = self.url.clone();
        url.set_path(&asked.sid.map_or_else(|| "/sessions".to_owned(), |sid| format!("/sessions/{sid}")));
        let method = if asked.ends { Method::DELETE } else { Method::GET };
        let request =
            client.request(method, url).query(&asked.query).bearer_auth(self.token.expose_secret()).send();
        let answer = request.await.map_err(|error| {
            // The URL holds the openid, which is the operator's to know and not to read again in every error.
            anyhow::Error::new(error.without_url()).context(format!(
                "no gateway answers at {}: does it run, and is this its admin.listen?",
                self.url
            ))
        })?;
        let succeeded = answer.status().is_success();
        let body: Option<Value> = answer.json().await.ok();
        let body = body.with_context(|| {
            format!("what answers at {} is not the private listener of a gateway", self.url)
        })?;
        anyhow::ensure!(succeeded, "{}", refused(&body));
        Ok(body)
    }
}

/// What may stand for the place of the listener: what is more than that would be left out in silence.
pub(super) fn address(text: &str) -> Result<Url, &'static str> {
    let (scheme, _) = text.split_once("://").unwrap_or_default();
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err("it begins with http:// or https://, such as http://10.0.0.5:9090");
    }
    let url =
        Url::parse(text).map_err(|_| "not a scheme, a host and a port, such as http://10.0.0.5:9090")?;
    let user = !url.username().is_empty() || url.password().is_some();
    if user || url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("a scheme, a host and a port are all, such as http://10.0.0.5:9090");
    }
    Ok(url)
}

/// An address that stands for all of them is not one to connect to.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Why the gateway refused, in the words of somebody at a command line.
fn refused(body: &Value) -> String {
    let text = |key: &str| body[key].as_str().unwrap_or("-");
    match text("error") {
        "credential_wrong" => {
            "the gateway does not know this credential (credential_wrong): a running gateway takes a \
                               new one over within seconds, if the rest of its config is good"
                .to_owned()
        }
        code => format!("{} ({code})", text("message")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_listener_is_a_scheme_a_host_and_a_port() {
        for good in
            ["http://10.0.0.5:9090", "http://localhost:9090/", "https://[::1]:1", "HTTP://gateway.internal"]
        {
            assert!(address(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            "nonsense",
            "localhost:9090",
            "127.0.0.1:9090",
            "http:localhost:9090",
            "unix:///run/wxgate",
            "http://",
            "http://localhost:x",
            "http://localhost:9090/sessions",
            "http://localhost:9090/?app=shop",
            "http://localhost:9090?",
            "http://localhost:9090/#x",
            "http://me@localhost:9090",
            "http://:secret@localhost:9090",
        ] {
            assert!(address(wrong).is_err_and(|why| why.contains("http://10.0.0.5:9090")), "{wrong}");
        }
    }

    #[test]
    fn what_listens_everywhere_is_reached_on_this_machine() {
        for (listen, reached) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.5:1", "10.0.0.5:1"),
            ("[::1]:1", "[::1]:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
