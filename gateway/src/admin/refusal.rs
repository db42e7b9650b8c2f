//! What the private listener answers when it does not do as it was asked, in the form of the public one's refusals.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request to the private listener was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No path of the private listener.
    NotFound,
    /// One of its paths, which takes other methods.
    MethodNotAllowed,
    /// A browser may have sent it for a page.
    WebPage,
    /// The config names no credential for operators.
    OperatorTokenNotSet,
    CredentialMissing,
    CredentialWrong,
    /// What stands in the query is not what this path takes.
    BadQuery,
    /// No `[app]` of this name, and no appid.
    UnknownApp,
    /// Several apps, and none is named.
    AppNotNamed,
    BadSid,
    SessionUnknown,
    /// The store failed, and nothing was done.
    StoreUnavailable,
    /// What should end is over on this node, and the store has not kept all of it.
    EndNotKept,
    /// A fault of the gateway.
    Internal,
}

impl Refusal {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::WebPage | Self::OperatorTokenNotSet => StatusCode::FORBIDDEN,
            Self::CredentialMissing | Self::CredentialWrong => StatusCode::UNAUTHORIZED,
            Self::BadQuery | Self::UnknownApp | Self::AppNotNamed | Self::BadSid => StatusCode::BAD_REQUEST,
            Self::SessionUnknown | Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::StoreUnavailable | Self::EndNotKept => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable name, for programs.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::WebPage => "web_page",
            Self::OperatorTokenNotSet => "admin_token_not_set",
            Self::CredentialMissing => "credential_missing",
            Self::CredentialWrong => "credential_wrong",
            Self::BadQuery => "bad_query",
            Self::UnknownApp => "app_unknown",
            Self::AppNotNamed => "app_not_named",
            Self::BadSid => "bad_sid",
            Self::SessionUnknown => "session_unknown",
            Self::StoreUnavailable => "store_unavailable",
            Self::EndNotKept => "end_not_kept",
            Self::Internal => "internal",
        }
    }

    /// For a person. Constant text: nothing of the request or of a secret can be in it.
    const fn message(self) -> &'static str {
        match self {
            Self::NotFound => "the private listener has no such path",
            Self::MethodNotAllowed => "this path takes other methods: see Allow",
            Self::WebPage => "requests of web pages, and for hosts other than this one, are not answered",
            Self::OperatorTokenNotSet => "set admin.token in the config: without it nobody may do this",
            Self::CredentialMissing => "send the credential as Authorization: Bearer",
            Self::CredentialWrong => "this credential is not known here",
            Self::BadQuery => {
                "name a user: app and openid, or unionid; a list also takes limit (1 to 1000) and full=true"
            }
            Self::UnknownApp => "no app has this name, and it is no appid",
            Self::AppNotNamed => "several apps are configured: name one, by its name or its appid",
            Self::BadSid => "not the id of a session: 22 characters of base64url",
            Self::SessionUnknown => "no session of this id is kept: it has ended, expired or never was",
            Self::StoreUnavailable => {
                "the session store failed: what it did not name was neither shown nor ended"
            }
            Self::EndNotKept => {
                "over on this node from now on, but not kept yet: repeat this until it says how many sessions ended"
            }
            Self::Internal => "the gateway failed: its log says how",
        }
    }
}

/// A refusal as it is sent.
pub(super) fn refused(status: StatusCode, code: &'static str, message: &str) -> Response {
    let mut answer = (status, Json(json!({ "error": code, "message": message }))).into_response();
    let headers = answer.headers_mut();
    headers.insert("x-wxgate-error", HeaderValue::from_static(code));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = refused(self.status(), self.code(), self.message());
        let headers = answer.headers_mut();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}
