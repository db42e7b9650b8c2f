//! One call of WeChat's API as it arrived, read within bounds.

use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use http::Method;

use super::input::parse_form;

/// Body of a call, in bytes. WeChat's own limits are not published; no call simulated here needs a tenth of it.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A call of WeChat's API.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    /// `None` when the body is too long or broke off: such a call has no effect.
    pub(super) async fn read(request: Request) -> Option<Self> {
        let (head, body) = request.into_parts();
        Some(Self {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: parse_form(head.uri.query().unwrap_or_default()),
            body: to_bytes(body, BODY_BYTES_MAX).await.ok()?,
        })
    }

    /// A query parameter; `None` when absent or empty. The first counts when there are several: which one WeChat
    /// honours is not known, and the record of calls shows the repetition.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let (_, value) = self.query.iter().find(|(given, _)| given == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// The names of the query parameters, in the order of the request.
    pub(super) fn query_names(&self) -> impl Iterator<Item = &str> {
        self.query.iter().map(|(name, _)| name.as_str())
    }

    /// The body as a JSON object; `None` when it is none.
    pub(super) fn json(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        serde_json::from_slice(&self.body).ok()
    }
}
