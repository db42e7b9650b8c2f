//! The exchange that asks WeChat itself.
//!
//! A code works once and a refused exchange spends it, so nothing is asked twice unless WeChat cannot have seen the first
//! question (no connection came about) or says to ask again (busy). A connection that breaks, or time that runs out, after
//! the question could have been read ends the exchange.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{io, iter};

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use reqwest::redirect::Policy;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    AnswerProblem, CodeExchange, ConnectFailure, ExchangeError, WechatApp, WechatSettings,
    WechatSettingsError, WechatUser, answer,
};
use crate::{AppId, LoginCode};

/// The endpoint that WeChat calls `code2Session`.
const PATH: &str = "/sns/jscode2session";

/// The largest answer that is read, in bytes. WeChat's own have 150.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How long to wait before the second and before the third and last try.
const BACKOFFS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];

/// How long a connection may lie idle. Short: one that WeChat closes at the moment of the next question costs that login,
/// because nobody knows whether the question was read.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// What stands for itself in a query.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Exchanges codes at WeChat's API. One for the whole program: it holds the connections and their limit.
///
/// Each failed exchange is one log line with `appid`, `errcode`, `rid` and `attempts`: a warning, or, when no login of the
/// app can work, an error that says what to repair. To know how fast WeChat is, time [`CodeExchange::exchange`].
#[derive(Debug)]
pub struct WechatClient {
    http: reqwest::Client,
    endpoints: Vec<Url>,
    /// The endpoint to which a connection could be made last.
    preferred: AtomicUsize,
    room: Semaphore,
    timeout: Duration,
}

impl WechatClient {
    /// A client that reaches WeChat as `settings` say. Connects to nothing yet.
    pub fn new(settings: &WechatSettings) -> Result<Self, WechatSettingsError> {
        Self::over(Self::http(settings), settings)
    }

    /// How HTTP is spoken to WeChat.
    fn http(settings: &WechatSettings) -> reqwest::ClientBuilder {
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

    fn over(http: reqwest::ClientBuilder, settings: &WechatSettings) -> Result<Self, WechatSettingsError> {
        settings.check()?;
        Ok(Self {
            http: http.build().map_err(|_| WechatSettingsError::Tls)?,
            endpoints: settings.endpoints(PATH)?,
            preferred: AtomicUsize::new(0),
            room: Semaphore::new(settings.concurrency.min(Semaphore::MAX_PERMITS)),
            timeout: settings.timeout,
        })
    }

    /// Tries until there is an answer, no point in going on, or no time.
    async fn ask(
        &self,
        app: &WechatApp,
        code: &LoginCode,
        attempts: &mut usize,
    ) -> Result<WechatUser, ExchangeError> {
        let start = Instant::now();
        let deadline = start + self.timeout;
        // What begins late is cut off by the deadline and has spent the code for nothing.
        let last_begin = start + self.timeout / 2;
        let Ok(_room) = timeout_at(last_begin, self.room.acquire()).await else {
            return Err(ExchangeError::Overloaded);
        };
        let query = query(app, code);
        loop {
            let tried = timeout_at(deadline, self.attempt(&query)).await;
            let error = match tried.unwrap_or(Err(ExchangeError::TimedOut)) {
                Ok(user) => return Ok(user),
                Err(error) => error,
            };
            let backoff = BACKOFFS.get(*attempts).copied();
            *attempts += 1;
            match backoff {
                Some(backoff) if is_safe_to_repeat(&error) && Instant::now() + backoff < last_begin => {
                    tracing::debug!(appid = %app.appid, errcode = error.errcode(), rid = error.rid(),
                        attempt = *attempts, error = %error, "asking WeChat again");
                    sleep(backoff).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Asks once.
    async fn attempt(&self, query: &str) -> Result<WechatUser, ExchangeError> {
        let preferred = self.preferred.load(Ordering::Relaxed);
        let mut url = self.endpoints[preferred].clone();
        url.set_query(Some(query));
        let response = self.http.get(url).send().await.map_err(|error| self.unsent(preferred, error))?;
        answer::check_status(response.status().as_u16())?;
        answer::parse(&body(response).await?)
    }

    /// What it means that there is no response, and which endpoint is to be asked next.
    ///
    /// The error itself, which holds the URL and the secret in it, ends here.
    fn unsent(&self, endpoint: usize, error: reqwest::Error) -> ExchangeError {
        let error = error.without_url();
        if !error.is_connect() {
            return if error.is_timeout() { ExchangeError::TimedOut } else { ExchangeError::Interrupted };
        }
        // Of many exchanges that fail at once only the first moves on; where it has moved already, the others follow.
        let next = (endpoint + 1) % self.endpoints.len();
        let _ = self.preferred.compare_exchange(endpoint, next, Ordering::Relaxed, Ordering::Relaxed);
        ExchangeError::Unreachable(connect_failure(&error))
    }
}

#[async_trait]
impl CodeExchange for WechatClient {
    async fn exchange(&self, app: &WechatApp, code: &LoginCode) -> Result<WechatUser, ExchangeError> {
        let mut attempts = 0;
        let outcome = self.ask(app, code, &mut attempts).await;
        if let Err(error) = &outcome {
            log(&app.appid, error, attempts);
        }
        outcome
    }
}

fn log(appid: &AppId, error: &ExchangeError, attempts: usize) {
    let (errcode, rid) = (error.errcode(), error.rid());
    if let ExchangeError::AppMisconfigured(_) = error {
        tracing::error!(%appid, errcode, rid, attempts, %error, "no login of this app can work");
    } else {
        tracing::warn!(%appid, errcode, rid, attempts, %error, "a login code was not exchanged");
    }
}

/// The four parameters, each encoded: a secret or a code cannot become a fifth.
fn query(app: &WechatApp, code: &LoginCode) -> String {
    let encoded = |value| utf8_percent_encode(value, &UNRESERVED);
    format!(
        "appid={}&secret={}&js_code={}&grant_type=authorization_code",
        encoded(app.appid.as_str()),
        encoded(app.secret.expose()),
        encoded(code.expose())
    )
}

/// Reads the body as it comes, and no further than an answer can reach.
async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, ExchangeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| ExchangeError::Interrupted)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ExchangeError::UnexpectedAnswer(AnswerProblem::TooLarge));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn is_safe_to_repeat(error: &ExchangeError) -> bool {
    matches!(error, ExchangeError::Busy(_) | ExchangeError::Unreachable(_))
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
mod tests;
