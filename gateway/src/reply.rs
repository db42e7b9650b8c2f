//! [`Denied`] → status and JSON, and every other answer that the gateway gives itself. The only file with status codes.

use std::time::Duration;

use auth_core::CodeError;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::denied::{Denied, ExchangeKind};
use crate::front::Front;
use crate::renewal::NewToken;
use crate::target::BadTarget;

/// Tells a client our refusal from the service's: removed from whatever a service answers.
pub(crate) const ERROR_HEADER: &str = "X-Wxgate-Error";

/// Names the request in every answer, in the log and to the service.
pub(crate) const REQUEST_ID: &str = "X-Request-Id";

impl Denied {
    /// The status of the refusal (RFC 9110 §15, RFC 6585 §4).
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::BadTarget(BadTarget::TooLong) => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BadHead
            | Self::BadTarget(_)
            | Self::BadFraming
            | Self::BadConnection
            | Self::BadUpgrade
            | Self::BadBody
            | Self::BadCode(CodeError::Missing | CodeError::Malformed | CodeError::Mock)
            | Self::UnknownApp
            | Self::AppNotNamed => StatusCode::BAD_REQUEST,
            Self::UpgradeVersion => StatusCode::UPGRADE_REQUIRED,
            Self::BadExpectation => StatusCode::EXPECTATION_FAILED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::MisdirectedRequest => StatusCode::MISDIRECTED_REQUEST,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::TokenMissing | Self::AmbiguousCredentials | Self::Token(_) | Self::CodeUsed => {
                StatusCode::UNAUTHORIZED
            }
            Self::ClosedToAll | Self::AppNotAllowed => StatusCode::FORBIDDEN,
            Self::RateLimited { .. } | Self::LoginBudget { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::UpstreamFailed => StatusCode::BAD_GATEWAY,
            Self::UpstreamUnavailable | Self::StoreUnavailable | Self::RevocationsStale => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Wechat(kind) => wechat_status(*kind),
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the client's developer reads. Constant text: nothing of the request or of a secret can be in it.
    fn message(&self) -> &'static str {
        match self {
            Self::BadHead => "the request head is not valid HTTP/1.1",
            Self::HeadTooLarge => "the request head is larger than this gateway allows",
            Self::HeadTimeout => "the request head did not arrive in time",
            Self::BadTarget(BadTarget::TooLong) => "the request target is longer than this gateway allows",
            Self::BadTarget(BadTarget::BadHost) => "the Host header is missing, doubled or malformed",
            Self::BadTarget(_) => "the path is ambiguous or malformed",
            Self::BadFraming => "Content-Length or Transfer-Encoding is malformed, doubled or contradictory",
            Self::BadConnection => "the Connection header names too much, or what must not be removed",
            Self::BadUpgrade => "not a WebSocket handshake",
            Self::UpgradeVersion => "only WebSocket version 13 is spoken here",
            Self::BadExpectation => "only Expect: 100-continue is understood",
            Self::BodyTooLarge => "the body is larger than this route allows",
            Self::BodyTimeout => "the body did not arrive in time",
            Self::MisdirectedRequest => "the certificate of this connection is not for this host",
            Self::NoRoute => "no route leads here",
            Self::MethodNotAllowed { .. } => "this path does not take this method",
            Self::TokenMissing => "log in first: send the token as Authorization: Bearer",
            Self::AmbiguousCredentials => "the request carries two different tokens",
            Self::Token(_) => self.token_message(),
            Self::ClosedToAll => "nobody may pass here",
            Self::AppNotAllowed => "this mini program may not use this route",
            Self::RevocationsStale => "whether the session has ended cannot be known now: try again",
            Self::RateLimited { .. } => "too many requests: slow down",
            Self::UpstreamUnavailable => "the service cannot be reached now",
            Self::UpstreamFailed => "the service broke off or answered with no valid HTTP",
            Self::UpstreamTimeout => "the service did not answer in time",
            Self::BadBody => "the body holds no login code: send {\"code\":\"…\"}",
            Self::UnsupportedMediaType => {
                "send the login code as JSON, as a form, as plain text or in X-WX-Code"
            }
            Self::BadCode(CodeError::Missing) => {
                "the login code is missing or empty (JSON is sent with Content-Type: application/json)"
            }
            Self::BadCode(CodeError::Malformed) => "this cannot be a code of wx.login",
            Self::BadCode(CodeError::Mock) => {
                "the developer tools gave a mock code: open the project with an appid"
            }
            Self::UnknownApp => "this appid is not configured here",
            Self::AppNotNamed => "several apps are configured: name the appid",
            Self::CodeUsed => "the code was used before: call wx.login again",
            Self::LoginBudget { .. } => {
                "too many logins of this mini program: send the same code again later"
            }
            Self::Wechat(kind) => wechat_message(*kind),
            Self::StoreUnavailable => "sessions cannot be kept now: try again",
            Self::Internal => "the gateway failed",
        }
    }

    fn token_message(&self) -> &'static str {
        match self.code() {
            "token_expired" => "the token has expired: log in again",
            "session_ended" => "the session has ended: log in again",
            "token_not_yet_valid" => "the token is from the future: a clock is wrong",
            _ => "the token is not one of ours: log in again",
        }
    }

    fn retry_after_secs(&self) -> Option<u32> {
        match self {
            Self::RateLimited { retry_after_secs } | Self::LoginBudget { retry_after_secs } => {
                Some(*retry_after_secs)
            }
            // WeChat's minute quota is free again in the next minute.
            Self::Wechat(ExchangeKind::MinuteQuota) => Some(60),
            Self::Wechat(ExchangeKind::DayQuota) => Some(3600),
            Self::Wechat(ExchangeKind::Busy | ExchangeKind::Unreachable)
            | Self::StoreUnavailable
            | Self::RevocationsStale
            | Self::UpstreamUnavailable => Some(1),
            _ => None,
        }
    }

    /// Whether the rest of the request may be anything, so that nothing after it can be trusted to be a request.
    fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::BadHead
                | Self::HeadTooLarge
                | Self::HeadTimeout
                | Self::BadTarget(_)
                | Self::BadFraming
                | Self::BadConnection
                | Self::BodyTooLarge
                | Self::BodyTimeout
        )
    }
}

const fn wechat_status(kind: ExchangeKind) -> StatusCode {
    match kind {
        ExchangeKind::CodeInvalid | ExchangeKind::CodeUsed => StatusCode::UNAUTHORIZED,
        ExchangeKind::CodeMissing => StatusCode::BAD_REQUEST,
        ExchangeKind::UserBlocked | ExchangeKind::UserLimited => StatusCode::FORBIDDEN,
        ExchangeKind::MinuteQuota => StatusCode::TOO_MANY_REQUESTS,
        ExchangeKind::Busy | ExchangeKind::DayQuota | ExchangeKind::Unreachable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ExchangeKind::Misconfigured | ExchangeKind::Unexpected | ExchangeKind::Interrupted => {
            StatusCode::BAD_GATEWAY
        }
        ExchangeKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
    }
}

const fn wechat_message(kind: ExchangeKind) -> &'static str {
    match kind {
        ExchangeKind::CodeInvalid => "WeChat does not know this code: call wx.login again",
        ExchangeKind::CodeUsed => "the code was used before: call wx.login again",
        ExchangeKind::CodeMissing => "WeChat saw no login code",
        ExchangeKind::UserBlocked => "WeChat blocks this user",
        ExchangeKind::UserLimited => "this WeChat account is restricted",
        ExchangeKind::Busy => "WeChat is busy: try again",
        ExchangeKind::MinuteQuota | ExchangeKind::DayQuota => "WeChat's quota is used up: try again later",
        ExchangeKind::Misconfigured => {
            "the gateway is not set up for WeChat: its operator finds the cause in the log"
        }
        ExchangeKind::Unreachable => "WeChat cannot be reached now: try again",
        ExchangeKind::TimedOut => "WeChat did not answer in time: call wx.login again",
        ExchangeKind::Interrupted => "the connection to WeChat broke: call wx.login again",
        ExchangeKind::Unexpected => "WeChat answered with something that is no answer",
    }
}

/// How much of a refused request is read after its answer, in bytes, and for how long.
const LINGER_BYTES_MAX: usize = 1024 * 1024;
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends a refusal. The connection ends with it if the request's body is still on its way: it is read for a moment and
/// thrown away, since a connection closed over unread bytes is reset, and a reset can overtake the answer (RFC 9112 §9.6).
pub(crate) async fn refuse(session: &mut Session, denied: &Denied, request_id: &str) -> pingora::Result<()> {
    // Who expects a `100 Continue` sends nothing before it has come.
    let waits = session.req_header().headers.contains_key(EXPECT) && session.response_written().is_none();
    send_refusal(session, denied, request_id).await?;
    if !session.as_downstream_mut().is_body_done() && !waits {
        Front::last_answer_is_out(session);
        let mut left = LINGER_BYTES_MAX;
        let drained = async {
            while let Ok(Some(piece)) = session.as_downstream_mut().read_request_body().await {
                left = left.saturating_sub(piece.len());
                if left == 0 {
                    return;
                }
            }
        };
        // However it ends, the answer is out and the connection closes.
        let _ = tokio::time::timeout(LINGER_TIMEOUT, drained).await;
    }
    Ok(())
}

async fn send_refusal(session: &mut Session, denied: &Denied, request_id: &str) -> pingora::Result<()> {
    let mut body = String::with_capacity(160);
    // The id has a checked alphabet and the rest is constant, except for quotes in one message.
    let message = denied.message();
    let quoted = message.contains('"').then(|| message.replace('"', "\\\""));
    body.extend([
        "{\"error\":\"",
        denied.code(),
        "\",\"message\":\"",
        quoted.as_deref().unwrap_or(message),
        "\",\"request_id\":\"",
        request_id,
        "\"}",
    ]);
    let mut header = ResponseHeader::build(denied.status(), Some(8))?;
    header.insert_header(ERROR_HEADER, HeaderValue::from_static(denied.code()))?;
    if let Some(secs) = denied.retry_after_secs() {
        header.insert_header(RETRY_AFTER, secs)?;
    }
    match denied {
        Denied::MethodNotAllowed { allow } => header.insert_header(ALLOW, allow.clone())?,
        Denied::TokenMissing | Denied::AmbiguousCredentials | Denied::Token(_) => {
            header.insert_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))?;
        }
        Denied::UpgradeVersion => {
            header.insert_header("Sec-WebSocket-Version", HeaderValue::from_static("13"))?;
        }
        _ => {}
    }
    if denied.ends_connection() {
        session.set_keepalive(None);
    }
    json(session, header, body.into(), request_id).await
}

/// What an endpoint answers.
#[derive(Debug)]
pub(crate) enum Reply {
    /// JSON for this caller alone, and perhaps a new token.
    Json(Bytes, Option<NewToken>),
    /// JSON that anyone may keep for so many seconds.
    Public(Bytes, u32),
    /// Done, and nothing to say.
    Nothing,
}

/// Sends what an endpoint answers.
pub(crate) async fn send(session: &mut Session, reply: Reply, request_id: &str) -> pingora::Result<()> {
    match reply {
        Reply::Json(body, token) => {
            let mut header = ResponseHeader::build(StatusCode::OK, Some(7))?;
            if let Some(token) = token {
                token.write(&mut header)?;
            }
            json(session, header, body, request_id).await
        }
        Reply::Public(body, secs) => {
            let mut header = ResponseHeader::build(StatusCode::OK, Some(6))?;
            header.insert_header(CACHE_CONTROL, format!("public, max-age={secs}"))?;
            json(session, header, body, request_id).await
        }
        Reply::Nothing => {
            let mut header = ResponseHeader::build(StatusCode::NO_CONTENT, Some(4))?;
            header.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
            header.insert_header(REQUEST_ID, request_id)?;
            session.write_response_header(Box::new(header), true).await
        }
    }
}

async fn json(
    session: &mut Session,
    mut header: ResponseHeader,
    body: Bytes,
    request_id: &str,
) -> pingora::Result<()> {
    header.insert_header(REQUEST_ID, request_id)?;
    header.insert_header(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))?;
    header.insert_header(CONTENT_LENGTH, body.len())?;
    if !header.headers.contains_key(CACHE_CONTROL) {
        header.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
    }
    let head_only = session.req_header().method == http::Method::HEAD;
    session.write_response_header(Box::new(header), head_only).await?;
    if head_only { Ok(()) } else { session.write_response_body(Some(body), true).await }
}
