//! The four ways to send a login code: JSON, bare text, a form, and the header `X-WX-Code`.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, EXPECT, HeaderMap};
use pingora::ErrorType;
use pingora::proxy::Session;

use super::form;
use crate::denied::Denied;
use crate::framing;

/// Longest body that is read, in bytes. A code has 32.
const BYTES_MAX: usize = 4096;
/// How long the whole body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the client sent, as text not yet looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) code: String,
    pub(super) appid: Option<String>,
}

pub(super) async fn read(session: &mut Session) -> Result<Asked, Denied> {
    let mut codes = session.req_header().headers.get_all("x-wx-code").iter();
    if let Some(code) = codes.next() {
        let code = code.to_str().ok().filter(|_| codes.next().is_none());
        return Ok(Asked { code: code.ok_or(Denied::BadBody)?.to_owned(), appid: None });
    }
    let format = Format::of(&session.req_header().headers)?;
    let body = read_bytes(session).await?;
    format.parse(std::str::from_utf8(&body).map_err(|_| Denied::BadBody)?.trim())
}

/// Reads the body within its limits. One that breaks off or is badly framed ends the connection: where the next request
/// begins, nobody knows. A filter that reads must also say that it wants to (RFC 9110 §10.1.1).
async fn read_bytes(session: &mut Session) -> Result<Bytes, Denied> {
    let headers = &session.req_header().headers;
    if framing::announced_length(headers).is_some_and(|length| length > BYTES_MAX as u64) {
        return Err(Denied::BodyTooLarge);
    }
    let expects = headers.contains_key(EXPECT);
    let downstream = session.as_downstream_mut();
    let whole = async {
        if expects {
            downstream.write_continue_response().await.map_err(|_| Denied::BadBody)?;
        }
        let mut body = BytesMut::new();
        while let Some(piece) = downstream.read_request_body().await.map_err(|error| broken(&error))? {
            if body.len() + piece.len() > BYTES_MAX {
                return Err(Denied::BodyTooLarge);
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(PATIENCE, whole).await.unwrap_or(Err(Denied::BodyTimeout))
}

/// A body that did not come whole.
fn broken(error: &pingora::Error) -> Denied {
    match error.etype() {
        ErrorType::ReadTimedout => Denied::BodyTimeout,
        _ => Denied::BadFraming,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// JSON, or the bare code that old tutorials send under the content type of `wx.request`, which says JSON.
    JsonOrText,
    Form,
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Self, Denied> {
        let Some(named) = headers.get(CONTENT_TYPE) else { return Ok(Self::JsonOrText) };
        let named = named.to_str().map_err(|_| Denied::UnsupportedMediaType)?;
        match named.split(';').next().unwrap_or("").trim().to_ascii_lowercase().as_str() {
            "" | "application/json" | "text/plain" | "text/json" => Ok(Self::JsonOrText),
            "application/x-www-form-urlencoded" => Ok(Self::Form),
            _ => Err(Denied::UnsupportedMediaType),
        }
    }

    fn parse(self, body: &str) -> Result<Asked, Denied> {
        match self {
            Self::Form => form::parse_form(body),
            Self::JsonOrText if body.starts_with(['{', '[', '"']) => form::parse_json(body),
            Self::JsonOrText => Ok(Asked { code: body.to_owned(), appid: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(content_type: &str, body: &str) -> Result<Asked, Denied> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        Format::of(&headers)?.parse(body)
    }

    fn asked(code: &str, appid: Option<&str>) -> Result<Asked, Denied> {
        Ok(Asked { code: code.to_owned(), appid: appid.map(str::to_owned) })
    }

    #[test]
    fn a_code_comes_as_json_text_or_form() {
        assert_eq!(parsed("application/json", r#"{"code":"c1"}"#), asked("c1", None));
        assert_eq!(
            parsed("application/json; charset=utf-8", r#"{"code":"c1","appid":"a","x":[1]}"#),
            asked("c1", Some("a"))
        );
        assert_eq!(parsed("application/json", "c1"), asked("c1", None));
        assert_eq!(parsed("text/plain", "c1"), asked("c1", None));
        assert_eq!(parsed("", r#"{"code":"c1"}"#), asked("c1", None));
        assert_eq!(
            parsed("application/x-www-form-urlencoded", "code=c%31&appid=a&y=2"),
            asked("c1", Some("a"))
        );
    }

    #[test]
    fn what_is_no_such_thing_is_refused() {
        for body in [
            r#"{"code":null}"#,
            r#"{"code":1}"#,
            r#"{"code":["c"]}"#,
            r#"{"code":"a","code":"b"}"#,
            "{",
            "[]",
            "\"c1\"",
            r#"["c1"]"#,
            r#"{"code":"c1","appid":5}"#,
        ] {
            assert_eq!(parsed("application/json", body), Err(Denied::BadBody), "{body}");
        }
        assert_eq!(parsed("application/json", "{}"), asked("", None));
        assert_eq!(parsed("application/x-www-form-urlencoded", "code=a&code=b"), Err(Denied::BadBody));
        assert_eq!(parsed("multipart/form-data; boundary=x", ""), Err(Denied::UnsupportedMediaType));
        assert_eq!(parsed("application/xml", "<code/>"), Err(Denied::UnsupportedMediaType));
    }
}
