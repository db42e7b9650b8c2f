//! What an endpoint answers, and how WeChat writes it down.

use serde_json::Value;

use super::errcode::Errcode;
use super::random;

/// An answer before it is written: a JSON object whose fields keep their order.
#[derive(Debug)]
pub(super) struct Answer {
    /// The errcode for the record of calls; `None` for a success that carries none.
    pub(super) errcode: Option<i64>,
    pub(super) fields: Vec<(&'static str, Value)>,
    refused: bool,
}

/// How an `errmsg` ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trailer {
    /// ` rid: 642452e9-4c04dd06-08584dc4`, since about 2021. The first part is the Unix time in hex.
    Rid,
    /// `, hints: [ req_id: … ]`, before that.
    Hints,
}

impl Answer {
    /// Only these fields, as `/sns/` and the token endpoints do: no errcode on success.
    pub(super) fn bare(fields: Vec<(&'static str, Value)>) -> Self {
        Self { errcode: None, fields, refused: false }
    }

    /// `errcode` 0, `errmsg` ok, and these fields, as `/wxa/` does.
    pub(super) fn ok(fields: Vec<(&'static str, Value)>) -> Self {
        let head = [("errcode", 0.into()), ("errmsg", "ok".into())];
        Self { errcode: Some(0), fields: head.into_iter().chain(fields).collect(), refused: false }
    }

    /// An error with its usual text.
    pub(super) fn refused(Errcode(code, text): Errcode) -> Self {
        Self::refused_with(code, text)
    }

    /// An error with a text of its own.
    pub(super) fn refused_with(code: i64, text: &str) -> Self {
        Self {
            errcode: Some(code),
            fields: vec![("errcode", code.into()), ("errmsg", text.into())],
            refused: true,
        }
    }

    /// Ends the errmsg of a refusal as WeChat does for this path. A comma before the rid is a habit of `/sns/`.
    pub(super) fn finish(mut self, path: &str, now: u64, trailer: Trailer) -> Self {
        let text = self.fields.iter_mut().find(|(name, _)| self.refused && *name == "errmsg");
        if let Some((_, Value::String(text))) = text {
            text.push_str(&match trailer {
                Trailer::Rid if path.starts_with("/sns/") => format!(", rid: {}", rid(now)),
                Trailer::Rid => format!(" rid: {}", rid(now)),
                Trailer::Hints => format!(", hints: [ req_id: {} ]", random::alphanumeric(12)),
            });
        }
        self
    }

    /// The object as text. Written by hand because the order of the fields is part of the shape.
    pub(super) fn to_json(&self) -> String {
        let fields: Vec<String> =
            self.fields.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name))).collect();
        format!("{{{}}}", fields.join(","))
    }
}

/// `text/plain` without a charset under `/sns/`, JSON elsewhere: clients that look at the type fail on the first.
pub(super) fn content_type(path: &str) -> &'static str {
    if path.starts_with("/sns/") { "text/plain" } else { "application/json; charset=UTF-8" }
}

fn rid(now: u64) -> String {
    format!("{:08x}-{}-{}", now & 0xffff_ffff, random::hex(4), random::hex(4))
}
