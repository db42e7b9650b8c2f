//! How HTTP is spoken to WeChat: one base URL after the other while no connection comes about, and no answer read without end.
//!
//! Asks once. Whether a question may be asked again is known to who asks it.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{io, iter};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Url};

use super::{AnswerProblem, ConnectFailure, WechatSettings, WechatSettingsError};

/// The largest answer that is read, in bytes. WeChat's own have 150, with an access token 300.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long a connection may lie idle. Short: one that WeChat closes at the moment of the next question costs that login,
/// because nobody knows whether the question was read.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// What stands for itself in a query.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The connections to WeChat.
#[derive(Debug)]
pub(super) struct Wire {
    http: reqwest::Client,
    bases: Vec<Url>,
    /// The base URL to which a connection could be made last.
    pub(super) preferred: AtomicUsize,
}

/// Why there is no body of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireError {
    /// No connection came about, so WeChat saw nothing.
    Unreachable(ConnectFailure),
    TimedOut,
    /// The connection broke after the question could have been read.
    Interrupted,
    Answer(AnswerProblem),
}

impl Wire {
    /// Connects to nothing yet.
    pub(super) fn new(settings: &WechatSettings) -> Result<Self, WechatSettingsError> {
        Self::over(Self::http(settings), settings)
    }

    pub(super) fn http(settings: &WechatSettings) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            // HTTP/1.1 has one exchange per connection: a broken one costs one login, not all that share it.
            .http1_only()
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(settings.concurrency)
            .connect_timeout(settings.connect_timeout)
            // A redirect would carry the AppSecret to wherever it points, a proxy of the environment to whoever runs it,
            // and a retry is a decision of ours.
            .redirect(Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("wxgate/", env!("CARGO_PKG_VERSION")))
    }

    pub(super) fn over(
        http: reqwest::ClientBuilder,
        settings: &WechatSettings,
    ) -> Result<Self, WechatSettingsError> {
        settings.check()?;
        let http = http.build().map_err(|_| WechatSettingsError::Tls)?;
        Ok(Self { http, bases: settings.bases()?, preferred: AtomicUsize::new(0) })
    }

    /// Asks at `path`, which is put behind that of the base URL.
    pub(super) async fn get(&self, path: &str, query: &str) -> Result<Vec<u8>, WireError> {
        self.ask(path, |mut url| {
            url.set_query(Some(query));
            self.http.get(url)
        })
        .await
    }

    /// Sends `json` to `path`.
    pub(super) async fn post(&self, path: &str, json: &str) -> Result<Vec<u8>, WireError> {
        let json_type = HeaderValue::from_static("application/json");
        let post = |url| self.http.post(url).header(CONTENT_TYPE, json_type).body(json.to_owned());
        self.ask(path, post).await
    }

    async fn ask(
        &self,
        path: &str,
        request: impl FnOnce(Url) -> RequestBuilder,
    ) -> Result<Vec<u8>, WireError> {
        let preferred = self.preferred.load(Ordering::Relaxed);
        let response = request(below(&self.bases[preferred], path))
            .send()
            .await
            .map_err(|error| self.unsent(preferred, error))?;
        check_status(response.status().as_u16()).map_err(WireError::Answer)?;
        body(response).await
    }

    /// What it means that there is no response, and which base URL is to be asked next.
    ///
    /// The error itself, which holds the URL and the secret in it, ends here.
    fn unsent(&self, base: usize, error: reqwest::Error) -> WireError {
        let error = error.without_url();
        if !error.is_connect() {
            return if error.is_timeout() { WireError::TimedOut } else { WireError::Interrupted };
        }
        // Of many questions that fail at once only the first moves on; where it has moved already, the others follow.
        let next = (base + 1) % self.bases.len();
        let _ = self.preferred.compare_exchange(base, next, Ordering::Relaxed, Ordering::Relaxed);
        WireError::Unreachable(connect_failure(&error))
    }
}

fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}

/// Names and values as a query, each value encoded: none can become a further parameter.
pub(super) fn query(parameters: &[(&str, &str)]) -> String {
    let pairs =
        parameters.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, &UNRESERVED)));
    pairs.collect::<Vec<_>>().join("&")
}

/// WeChat answers with 200 whatever it says.
pub(super) fn check_status(status: u16) -> Result<(), AnswerProblem> {
    if status == 200 { Ok(()) } else { Err(AnswerProblem::Status(status)) }
}

/// Reads the body as it comes, and no further than an answer can reach.
async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, WireError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| WireError::Interrupted)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(WireError::Answer(AnswerProblem::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn connect_failure(error: &reqwest::Error) -> ConnectFailure {
    use io::ErrorKind::{ConnectionRefused, InvalidData, UnexpectedEof};
    if error.is_dns() {
        return ConnectFailure::Dns;
    }
    if error.is_timeout() {
        return ConnectFailure::TimedOut;
    }
    match io_kind(error) {
        Some(ConnectionRefused) => ConnectFailure::Refused,
        // What rustls has to say comes as the first, a peer that hangs up on it as the second.
        Some(InvalidData | UnexpectedEof) => ConnectFailure::Tls,
        _ => ConnectFailure::Network,
    }
}

/// The kind of the innermost I/O error among the causes of `error`.
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut causes = iter::successors(Some(error), |&cause| cause.source());
    let mut io = causes.find_map(|cause| cause.downcast_ref::<io::Error>())?;
    // The TLS connector wraps one in another, whose `source` then passes over the inner one.
    while let Some(inner) = io.get_ref().and_then(|inner| inner.downcast_ref()) {
        io = inner;
    }
    Some(io.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_takes_the_path_behind_its_own() {
        for (base, url) in [
            ("https://api.weixin.qq.com", "https://api.weixin.qq.com/sns/x"),
            ("https://api.weixin.qq.com/", "https://api.weixin.qq.com/sns/x"),
            ("http://127.0.0.1:8081/wechat/", "http://127.0.0.1:8081/wechat/sns/x"),
        ] {
            assert_eq!(below(&base.parse().unwrap(), "/sns/x").as_str(), url);
        }
    }
}
