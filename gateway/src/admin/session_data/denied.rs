//! Why a service's request was refused: one stable code each, documented with cause and cure in docs/session-data.md.

use auth_core::session_data::{KeysError, OpenError};
use auth_core::wechat::CallError;
use auth_core::wechat::open_data::OpenDataError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::admin::refusal::refused;

#[derive(Debug)]
pub(super) enum Denied {
    /// The config names no service.
    NoServices,
    /// What should stand in it.
    BadBody(&'static str),
    BodyTooLarge,
    BodyTimeout,
    AppNotAllowed,
    NoSession,
    KeyUnreadable,
    OpenDataMalformed(OpenDataError),
    KeyStale,
    AnotherUser,
    SignatureWrong,
    RateLimited {
        retry_after_secs: u32,
    },
    StoreUnavailable,
    Wechat(CallError),
}

impl Denied {
    /// The stable name, for programs.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::NoServices => "admin_service_not_set",
            Self::BadBody(_) => "bad_body",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::AppNotAllowed => "app_not_allowed",
            Self::NoSession => "no_session",
            Self::KeyUnreadable => "session_key_unreadable",
            Self::OpenDataMalformed(_) => "open_data_malformed",
            Self::KeyStale => "session_key_stale",
            Self::AnotherUser => "open_data_of_another_user",
            Self::SignatureWrong => "signature_wrong",
            Self::RateLimited { .. } => "rate_limited",
            Self::StoreUnavailable => "store_unavailable",
            Self::Wechat(error) => wechat(error).0,
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::BadBody(_) | Self::OpenDataMalformed(_) => StatusCode::BAD_REQUEST,
            Self::NoServices | Self::AppNotAllowed | Self::AnotherUser => StatusCode::FORBIDDEN,
            Self::NoSession => StatusCode::NOT_FOUND,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            // The user's next login mends it.
            Self::KeyUnreadable | Self::KeyStale | Self::SignatureWrong => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Wechat(error) => wechat(error).1,
        }
    }

    /// For a person. Nothing of the body is in it.
    fn message(&self) -> String {
        let text = match self {
            Self::NoServices => "add [admin.service.NAME] to the config: without it no service may ask",
            Self::BadBody(what) => what,
            Self::BodyTooLarge => "a body has 256 KiB at most",
            Self::BodyTimeout => "the body did not come in time",
            Self::AppNotAllowed => {
                "this service may not ask about users of this app: see apps in its [admin.service]"
            }
            Self::NoSession => "the user has no live session here: the client has to log in",
            Self::KeyUnreadable => {
                "no session_key of this user can be read any more (store.keys has changed): the client has to log in again"
            }
            Self::OpenDataMalformed(error) => return error.to_string(),
            Self::KeyStale => {
                "not sealed with the session_key of this user's login: the client calls wx.login, logs in, and gets the data anew"
            }
            Self::AnotherUser => {
                "the data names another user than the one it was sent for: somebody has changed it"
            }
            Self::SignatureWrong => {
                "not signed with the session_key of this user's login, or changed since: the client calls wx.login, logs in, \
                 and gets both anew"
            }
            Self::RateLimited { .. } => {
                "this service asks WeChat too often: see checks in its [admin.service]"
            }
            Self::StoreUnavailable => "the session store failed: try again",
            Self::Wechat(error) => wechat(error).2,
        };
        text.to_owned()
    }

    const fn retry_after_secs(&self) -> Option<u32> {
        match self {
            Self::RateLimited { retry_after_secs } => Some(*retry_after_secs),
            Self::StoreUnavailable => Some(1),
            Self::Wechat(error) if wechat(error).1.as_u16() == 503 => Some(1),
            _ => None,
        }
    }
}

/// Code, status and message of a check that failed. The codes are those of a login that fails for the same reason.
const fn wechat(error: &CallError) -> (&'static str, StatusCode, &'static str) {
    use StatusCode as Status;
    match error {
        CallError::Busy(_) | CallError::Overloaded => {
            ("wechat_busy", Status::SERVICE_UNAVAILABLE, "WeChat is busy: try again")
        }
        CallError::Quota(_) => {
            ("wechat_quota", Status::SERVICE_UNAVAILABLE, "WeChat's quota is used up: try again later")
        }
        CallError::AppMisconfigured(_) | CallError::TokenRefused(_) => (
            "gateway_misconfigured",
            Status::BAD_GATEWAY,
            "WeChat refuses this app: the gateway's log says why",
        ),
        CallError::Unreachable(_) => {
            ("wechat_unreachable", Status::SERVICE_UNAVAILABLE, "WeChat cannot be reached now: try again")
        }
        CallError::TimedOut => {
            ("wechat_timeout", Status::GATEWAY_TIMEOUT, "WeChat did not answer in time: try again")
        }
        CallError::Interrupted => {
            ("wechat_interrupted", Status::BAD_GATEWAY, "the connection to WeChat broke: try again")
        }
        CallError::Unknown(_) | CallError::UnexpectedAnswer(_) => {
            ("wechat_unexpected", Status::BAD_GATEWAY, "WeChat answered with something that is no answer")
        }
    }
}

impl From<KeysError> for Denied {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::AppNotAllowed => Self::AppNotAllowed,
            KeysError::NoSession => Self::NoSession,
            KeysError::NotReadable => Self::KeyUnreadable,
            KeysError::Store(error) => {
                tracing::warn!(%error, "the session store failed a service");
                Self::StoreUnavailable
            }
        }
    }
}

impl From<OpenError> for Denied {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Malformed(error) => Self::OpenDataMalformed(error),
            OpenError::Stale => Self::KeyStale,
            OpenError::AnotherUser => Self::AnotherUser,
        }
    }
}

impl From<CallError> for Denied {
    fn from(error: CallError) -> Self {
        Self::Wechat(error)
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let mut answer = refused(self.status(), self.code(), &self.message());
        if let Some(secs) = self.retry_after_secs() {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        answer
    }
}
