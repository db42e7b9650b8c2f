//! The check against a WeChat that answers what a test says.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::{ConnectFailure, Refusal};
use super::*;
use crate::AppSecret;

const OK: &str = r#"{"errcode":0,"errmsg":"ok"}"#;
const SECRET: &str = "5ecret&force_refresh=\"true\"";

/// A question: its request line, and its body.
#[derive(Debug, Clone)]
struct Asked {
    line: String,
    body: String,
}

type Answers = dyn Fn(usize, &Asked) -> Option<String> + Send + Sync;

/// Answers by the number of the question and what it is; where there is none, it is silent.
struct Wechat {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Wechat {
    async fn answers(answers: impl Fn(usize, &Asked) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, answers): (Arc<Mutex<Vec<Asked>>>, Arc<Answers>) = (Arc::default(), Arc::new(answers));
        let theirs = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&theirs)));
            }
        });
        Self { url, asked }
    }

    /// Gives tokens `t1`, `t2` and so on, each with this life, and answers a check by its token.
    async fn gives(expires_in: u64, check: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let given = Mutex::new(0);
        Self::answers(move |_, asked| {
            if asked.line.starts_with("POST /cgi-bin/stable_token ") {
                let mut given = given.lock().unwrap();
                *given += 1;
                return Some(format!(r#"{{"access_token":"t{given}","expires_in":{expires_in}}}"#));
            }
            let token = asked.line.split("access_token=").nth(1).and_then(|rest| rest.split('&').next());
            Some(check(token.unwrap_or_default()))
        })
        .await
    }

    fn checker(&self) -> KeyChecker {
        checker(&self.url)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How many tokens and how many checks it was asked for.
    fn counts(&self) -> (usize, usize) {
        let asked = self.asked();
        let tokens = asked.iter().filter(|asked| asked.line.starts_with("POST ")).count();
        (tokens, asked.len() - tokens)
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<Answers>,
    everything: Arc<Mutex<Vec<Asked>>>,
) -> io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await?;
        let line = head.lines().next().unwrap().to_owned();
        let asked = Asked { line, body: String::from_utf8(body).unwrap() };
        let number = {
            let mut everything = everything.lock().unwrap();
            everything.push(asked.clone());
            everything.len()
        };
        let Some(answer) = answers(number, &asked) else { std::future::pending().await };
        let length = answer.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{answer}").as_bytes()).await?;
    }
}

fn checker(url: &str) -> KeyChecker {
    KeyChecker::new(&WechatSettings { base_urls: vec![url.to_owned()], ..Default::default() }).unwrap()
}

async fn check(checker: &KeyChecker) -> Result<bool, CallError> {
    let app = WechatApp {
        appid: AppId::parse("wx4f4bc4dec97d474b").unwrap(),
        secret: AppSecret::new(SECRET.to_owned()).unwrap(),
    };
    let openid = OpenId::parse("oGZUI0egBJY1zhBYw2KhdUfwVJJE").unwrap();
    let key = SessionKey::new("tiihtNczf5v6AKRyjwEUhQ==".to_owned()).unwrap();
    checker.is_current(&app, &openid, &key).await
}

fn refused(errcode: i64) -> String {
    format!(r#"{{"errcode":{errcode},"errmsg":"no rid: 64-a-b"}}"#)
}

#[tokio::test]
async fn a_check_is_asked_as_wechat_wants_it() {
    let wechat = Wechat::gives(7200, |_| OK.to_owned()).await;
    assert_eq!(check(&wechat.checker()).await, Ok(true));
    let asked = wechat.asked();
    let token: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    let expected = serde_json::json!({
        "grant_type": "client_credential", "appid": "wx4f4bc4dec97d474b", "secret": SECRET, "force_refresh": false,
    });
    assert_eq!((asked[0].line.as_str(), token), ("POST /cgi-bin/stable_token HTTP/1.1", expected));
    assert_eq!(
        asked[1].line,
        "GET /wxa/checksession?access_token=t1&openid=oGZUI0egBJY1zhBYw2KhdUfwVJJE\
         &signature=7154f9f8b4b76b92f541cbf0e37d48840fa06e5e42da92a6f80168a1516a4735&sig_method=hmac_sha256 HTTP/1.1"
    );
}

#[tokio::test]
async fn a_key_that_is_not_the_current_one_is_no_error() {
    for errcode in [87007, 87009] {
        let wechat = Wechat::gives(7200, move |_| refused(errcode)).await;
        assert_eq!(check(&wechat.checker()).await, Ok(false), "{errcode}");
    }
}

#[tokio::test]
async fn a_token_is_fetched_once_for_all_who_wait_and_kept() {
    let wechat = Wechat::gives(7200, |_| OK.to_owned()).await;
    let checker = Arc::new(wechat.checker());
    let checks = (0..20).map(|_| {
        let checker = Arc::clone(&checker);
        tokio::spawn(async move { check(&checker).await })
    });
    for outcome in futures_util::future::join_all(checks).await {
        assert_eq!(outcome.unwrap(), Ok(true));
    }
    assert_eq!(wechat.counts(), (1, 20));
}

#[tokio::test]
async fn a_token_is_not_used_to_its_end() {
    // With nothing left of it each check fetches one.
    let wechat = Wechat::gives(0, |_| OK.to_owned()).await;
    let checker = wechat.checker();
    assert_eq!((check(&checker).await, check(&checker).await), (Ok(true), Ok(true)));
    assert_eq!(wechat.counts(), (2, 2));
}

#[tokio::test]
async fn a_token_that_is_refused_is_fetched_anew_once() {
    for errcode in [40001, 40014, 42001] {
        let answer = move |token: &str| if token == "t1" { refused(errcode) } else { OK.to_owned() };
        let wechat = Wechat::gives(7200, answer).await;
        let checker = wechat.checker();
        assert_eq!((check(&checker).await, check(&checker).await), (Ok(true), Ok(true)), "{errcode}");
        assert_eq!(wechat.counts(), (2, 3), "{errcode}");
    }
    let wechat = Wechat::gives(7200, |_| refused(42001)).await;
    assert!(matches!(check(&wechat.checker()).await, Err(CallError::TokenRefused(_))));
    assert_eq!(wechat.counts(), (2, 2));
}

#[tokio::test]
async fn a_refused_token_does_not_take_a_newer_one_with_it() {
    let wechat = Wechat::gives(7200, |_| OK.to_owned()).await;
    let checker = wechat.checker();
    let app = WechatApp {
        appid: AppId::parse("wx4f4bc4dec97d474b").unwrap(),
        secret: AppSecret::new(SECRET.to_owned()).unwrap(),
    };
    let old = checker.tokens.of(&app, &checker.wire).await.unwrap();
    checker.tokens.refused(&app.appid, &old).await;
    let new = checker.tokens.of(&app, &checker.wire).await.unwrap();
    checker.tokens.refused(&app.appid, &old).await;
    assert_eq!(checker.tokens.of(&app, &checker.wire).await.unwrap().expose(), new.expose());
    assert_eq!((old.expose(), new.expose()), ("t1", "t2"));
}

#[tokio::test]
async fn a_busy_wechat_is_asked_once_more() {
    let busy = |number, asked: &Asked| match (number, asked.line.starts_with("POST ")) {
        (_, true) => Some(r#"{"access_token":"t","expires_in":7200}"#.to_owned()),
        (2, _) => Some(refused(-1)),
        _ => Some(OK.to_owned()),
    };
    let wechat = Wechat::answers(busy).await;
    assert_eq!(check(&wechat.checker()).await, Ok(true));
    let wechat = Wechat::gives(7200, |_| refused(-1)).await;
    assert!(matches!(check(&wechat.checker()).await, Err(CallError::Busy(_))));
    assert_eq!(wechat.counts(), (1, 2));
}

#[tokio::test]
async fn an_app_that_wechat_refuses_is_named_as_such() {
    let wechat = Wechat::answers(|_, _| Some(refused(40125))).await;
    let error = check(&wechat.checker()).await.unwrap_err();
    assert!(matches!(&error, CallError::AppMisconfigured(Refusal { errcode: 40125, .. })), "{error}");
    assert!(!error.to_string().contains("5ecret"), "{error}");
}

#[tokio::test]
async fn what_is_no_answer_is_no_consent() {
    for body in ["{}", "[]", "<html>", r#"{"errcode":"x"}"#] {
        let wechat = Wechat::gives(7200, move |_| body.to_owned()).await;
        assert!(matches!(check(&wechat.checker()).await, Err(CallError::UnexpectedAnswer(_))), "{body}");
    }
}

#[tokio::test]
async fn a_silent_wechat_is_given_up() {
    let wechat = Wechat::answers(|_, _| None).await;
    let (connect_timeout, timeout) = (Duration::from_millis(50), Duration::from_millis(100));
    let base_urls = vec![wechat.url.clone()];
    let settings = WechatSettings { base_urls, connect_timeout, timeout, ..Default::default() };
    let checker = KeyChecker::new(&settings).unwrap();
    let checked = tokio::time::timeout(Duration::from_secs(20), check(&checker)).await;
    assert_eq!(checked.expect("it gives up"), Err(CallError::TimedOut));
}

#[tokio::test]
async fn a_wechat_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(check(&checker(&url)).await, Err(CallError::Unreachable(ConnectFailure::Refused)));
}
