//! Reading what WeChat answers: for `code2Session` `{"session_key","openid","unionid"?}`, for all `{"errcode","errmsg"}`.
//!
//! Read leniently in form, because the form has changed over the years and comes with a content type that says nothing:
//! a byte order mark, an `errcode` of 0 beside a user or none, one written as a string, members of former times
//! (`expires_in`) and of times to come. Read strictly in substance: a user is somebody with an openid and a key.

use serde_json::{Map, Value};

use super::{AnswerProblem, ExchangeError, Refusal, Rid, WechatUser};
use crate::{OpenId, SessionKey, UnionId};

/// Reads the body of an answer, which came with HTTP status 200.
pub(super) fn parse(body: &[u8]) -> Result<WechatUser, ExchangeError> {
    let mut answer = object(body).map_err(ExchangeError::UnexpectedAnswer)?;
    match refusal(&answer).map_err(ExchangeError::UnexpectedAnswer)? {
        None => user(&mut answer).map_err(ExchangeError::UnexpectedAnswer),
        Some(refusal) => Err(refusal.into()),
    }
}

/// An answer as a JSON object, whatever it says.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, AnswerProblem> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    serde_json::from_slice(body).map_err(|_| AnswerProblem::NotJson)
}

/// The refusal that an answer is; none where its errcode is 0 or left out.
pub(super) fn refusal(answer: &Map<String, Value>) -> Result<Option<Refusal>, AnswerProblem> {
    let errcode = errcode(answer).ok_or(AnswerProblem::Errcode)?;
    let errmsg = answer.get("errmsg").and_then(Value::as_str).unwrap_or_default();
    Ok((errcode != 0).then(|| Refusal { errcode, rid: Rid::find(errmsg) }))
}

/// The errcode, 0 where there is none; `None` if it cannot be read.
fn errcode(answer: &Map<String, Value>) -> Option<i64> {
    match answer.get("errcode") {
        None | Some(Value::Null) => Some(0),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
    }
}

fn user(answer: &mut Map<String, Value>) -> Result<WechatUser, AnswerProblem> {
    let openid = take(answer, "openid").ok_or(AnswerProblem::NoUser)?;
    let session_key = take(answer, "session_key").and_then(SessionKey::new).ok_or(AnswerProblem::NoUser)?;
    Ok(WechatUser {
        openid: OpenId::parse(&openid).map_err(|_| AnswerProblem::UserId)?,
        // One of an unknown shape is not dropped: the user would come to the services as another one.
        unionid: take(answer, "unionid")
            .map(|unionid| UnionId::parse(&unionid).map_err(|_| AnswerProblem::UserId))
            .transpose()?,
        session_key,
    })
}

/// The member called `name`, if it is a text that is not empty.
pub(super) fn take(answer: &mut Map<String, Value>, name: &str) -> Option<String> {
    match answer.get_mut(name).map(Value::take) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPENID: &str = "oGZUI0egBJY1zhBYw2KhdUfwVJJE";
    const UNIONID: &str = "ocMvos6NjeKLIBqg5Mr9QjxrP1FA";
    const KEY: &str = "tiihtNczf5v6AKRyjwEUhQ==";

    fn problem(body: &str) -> AnswerProblem {
        match parse(body.as_bytes()) {
            Err(ExchangeError::UnexpectedAnswer(problem)) => problem,
            other => panic!("{body}: expected an unexpected answer, got {other:?}"),
        }
    }

    #[test]
    fn a_user_is_read_in_every_form_wechat_has_used() {
        let forms = [
            format!(r#"{{"session_key":"{KEY}","openid":"{OPENID}"}}"#),
            format!(r#"{{"session_key":"{KEY}","openid":"{OPENID}","unionid":""}}"#),
            format!(r#"{{"session_key":"{KEY}","expires_in":7200,"openid":"{OPENID}"}}"#),
            format!(r#"{{"openid":"{OPENID}","session_key":"{KEY}","errcode":0,"errmsg":"ok"}}"#),
            format!(r#"{{"openid":"{OPENID}","session_key":"{KEY}","errcode":"0","unionid":null}}"#),
            format!(
                "\u{feff} {{\"openid\":\"{OPENID}\",\"session_key\":\"{KEY}\",\"errcode\":null,\"new\":[{{}}]}}\n"
            ),
        ];
        for form in forms {
            let user = parse(form.as_bytes()).unwrap();
            assert_eq!((user.openid.as_str(), user.session_key.expose()), (OPENID, KEY), "{form}");
            assert_eq!(user.unionid, None, "{form}");
        }
    }

    #[test]
    fn a_unionid_is_read_where_there_is_one() {
        let body = format!(r#"{{"session_key":"{KEY}","openid":"{OPENID}","unionid":"{UNIONID}"}}"#);
        assert_eq!(parse(body.as_bytes()).unwrap().unionid.unwrap().as_str(), UNIONID);
    }

    #[test]
    fn an_escaped_slash_in_a_key_is_a_slash() {
        let body = format!(r#"{{"session_key":"HyVFkGl5F5OQWJZZaNzB\/g==","openid":"{OPENID}"}}"#);
        assert_eq!(parse(body.as_bytes()).unwrap().session_key.expose(), "HyVFkGl5F5OQWJZZaNzB/g==");
    }

    #[test]
    fn an_errcode_is_read_as_a_number_and_as_text() {
        for errcode in ["40029", r#""40029""#, r#"" 40029 ""#] {
            let body = format!(
                r#"{{"errcode":{errcode},"errmsg":"invalid code, rid: 642452e9-4c04dd06-08584dc4"}}"#
            );
            let error = parse(body.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.errcode()), ("code_rejected", Some(40029)));
            assert_eq!(error.rid(), Some("642452e9-4c04dd06-08584dc4"));
        }
        assert_eq!(parse(br#"{"errcode":-1}"#).unwrap_err().kind(), "busy");
        assert_eq!(parse(br#"{"errcode":40029,"errmsg":7}"#).unwrap_err().rid(), None);
    }

    #[test]
    fn an_errcode_weighs_more_than_a_user_beside_it() {
        let body = format!(r#"{{"session_key":"{KEY}","openid":"{OPENID}","errcode":40029}}"#);
        assert_eq!(parse(body.as_bytes()).unwrap_err().kind(), "code_rejected");
    }

    #[test]
    fn what_is_neither_error_nor_user_is_unexpected() {
        for body in ["", "<html>", "null", "[]", "\"ok\"", "{", "{\"openid\":\"\u{0}\"}", &"[".repeat(10_000)]
        {
            assert_eq!(problem(body), AnswerProblem::NotJson, "{body}");
        }
        for errcode in ["true", "[0]", "{}", "1.5", "\"\"", "\"x\"", "99999999999999999999"] {
            assert_eq!(problem(&format!(r#"{{"errcode":{errcode}}}"#)), AnswerProblem::Errcode, "{errcode}");
        }
        let (no_key, no_openid) =
            (format!(r#"{{"openid":"{OPENID}"}}"#), format!(r#"{{"session_key":"{KEY}"}}"#));
        let empty_key = format!(r#"{{"openid":"{OPENID}","session_key":""}}"#);
        let number = format!(r#"{{"openid":7,"session_key":"{KEY}"}}"#);
        for body in ["{}", r#"{"errcode":0,"errmsg":"ok"}"#, &no_key, &no_openid, &empty_key, &number] {
            assert_eq!(problem(body), AnswerProblem::NoUser, "{body}");
        }
        let openid = format!(r#"{{"openid":"o\r\nX: y","session_key":"{KEY}"}}"#);
        let unionid = format!(r#"{{"openid":"{OPENID}","session_key":"{KEY}","unionid":"o u"}}"#);
        for body in [openid, unionid] {
            assert_eq!(problem(&body), AnswerProblem::UserId, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>) {
            let _ = parse(&body);
        }

        #[test]
        fn no_errcode_and_errmsg_make_it_panic_and_only_0_is_not_an_error(errcode: i64, errmsg: String) {
            let body = serde_json::json!({ "errcode": errcode, "errmsg": errmsg }).to_string();
            let error = parse(body.as_bytes()).unwrap_err();
            prop_assert_eq!(error.errcode(), (errcode != 0).then_some(errcode));
            prop_assert!(error.rid().is_none_or(|rid| (1..=64).contains(&rid.len())));
        }

        #[test]
        fn no_value_in_any_member_makes_it_panic(openid: String, key: String, unionid: String) {
            let body = serde_json::json!({ "openid": openid, "session_key": key, "unionid": unionid }).to_string();
            if let Ok(user) = parse(body.as_bytes()) {
                prop_assert_eq!(user.openid.as_str(), openid);
                prop_assert!(!key.is_empty());
            }
        }
    }
}
