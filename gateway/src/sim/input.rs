//! What a control call says: a JSON object, a form, or the query, whichever is easiest to type. Every mistake is
//! answered with 400 and what to do about it.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// Body of a control call, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The fields of a control call. Those of a form are texts; numbers and flags are read from texts as well.
#[derive(Debug)]
pub(super) struct Input(Map<String, Value>);

/// A control call that cannot be followed.
#[derive(Debug)]
pub(super) struct Wrong {
    error: String,
    hint: String,
}

impl Wrong {
    pub(super) fn new(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { error: error.into(), hint: hint.into() }
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.error, "hint": self.hint }))).into_response()
    }
}

impl<S: Send + Sync> FromRequest<S> for Input {
    type Rejection = Wrong;

    async fn from_request(request: Request, _: &S) -> Result<Self, Wrong> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|_| {
            Wrong::new("the body is too long or broke off", format!("send at most {BODY_BYTES_MAX} bytes"))
        })?;
        let text = str::from_utf8(&body)
            .map_err(|_| Wrong::new("the body is not UTF-8", "send a JSON object or a form"))?
            .trim();
        // By its first character, not by its type: `curl -d` calls everything a form.
        let mut fields = if text.starts_with(['{', '[']) {
            serde_json::from_str(text).map_err(|error| {
                Wrong::new(
                    format!("the body is not a JSON object: {error}"),
                    "for example {\"user\":\"alice\"}",
                )
            })?
        } else {
            as_map(parse_form(text))
        };
        fields.extend(as_map(parse_form(&query)));
        Ok(Self(fields))
    }
}

impl Input {
    /// Refuses fields that the call does not take: a misspelt one would silently change nothing.
    pub(super) fn only(&self, takes: &[&str]) -> Result<(), Wrong> {
        match self.0.keys().find(|name| !takes.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) if takes.is_empty() => {
                Err(Wrong::new(format!("unknown field {name:?}"), "this call takes no fields"))
            }
            Some(name) => Err(Wrong::new(
                format!("unknown field {name:?}"),
                format!("this call takes {}", takes.join(", ")),
            )),
        }
    }

    pub(super) fn raw(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Wrong> {
        let wrong = || Wrong::new(format!("{name} is not a text"), format!("send {name} as a text"));
        self.raw(name).map(|value| value.as_str().ok_or_else(wrong)).transpose()
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Wrong> {
        match self.raw(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(_) => {
                Err(Wrong::new(format!("{name} is neither true nor false"), format!("send {name}=true")))
            }
        }
    }

    /// A whole number, which may be negative.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Wrong> {
        let read = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        let wrong =
            || Wrong::new(format!("{name} is not a whole number"), format!("send {name}=1, for example"));
        self.raw(name).map(|value| read(value).ok_or_else(wrong)).transpose()
    }

    /// A whole number from `min` to `max`.
    pub(super) fn count(&self, name: &str, min: u64, max: u64) -> Result<Option<u64>, Wrong> {
        let within = |number: i64| u64::try_from(number).ok().filter(|number| (min..=max).contains(number));
        let wrong =
            || Wrong::new(format!("{name} is out of range"), format!("send {name} from {min} to {max}"));
        self.integer(name)?.map(|number| within(number).ok_or_else(wrong)).transpose()
    }
}

/// The pairs of a query or a form, decoded, in order. What is not UTF-8 after decoding keeps replacement characters.
pub(super) fn parse_form(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn as_map(pairs: Vec<(String, String)>) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect()
}
