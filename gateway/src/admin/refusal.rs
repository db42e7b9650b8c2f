//! What the private listener answers when it does not do as it was asked, in the form of the public one's refusals.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request to the private listener was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A browser may have sent it for a page.
    WebPage,
    /// The config names no credential for operators.
    OperatorTokenNotSet,
    CredentialMissing,
    CredentialWrong,
}

impl Refusal {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::WebPage | Self::OperatorTokenNotSet => StatusCode::FORBIDDEN,
            Self::CredentialMissing | Self::CredentialWrong => StatusCode::UNAUTHORIZED,
        }
    }

    /// The stable name, for programs.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::WebPage => "web_page",
            Self::OperatorTokenNotSet => "admin_token_not_set",
            Self::CredentialMissing => "credential_missing",
            Self::CredentialWrong => "credential_wrong",
        }
    }

    /// For a person. Constant text: nothing of the request or of a secret can be in it.
    const fn message(self) -> &'static str {
        match self {
            Self::WebPage => "requests of web pages, and for hosts other than this one, are not answered",
            Self::OperatorTokenNotSet => "set admin.token in the config: without it nobody may do this",
            Self::CredentialMissing => "send the credential as Authorization: Bearer",
            Self::CredentialWrong => "this credential is not known here",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.code(), "message": self.message() });
        let mut answer = (self.status(), Json(body)).into_response();
        let headers = answer.headers_mut();
        headers.insert("x-wxgate-error", HeaderValue::from_static(self.code()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}
