//! The client against a WeChat that plays what it is told, one reply per question.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::{io, iter};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing::Level;

use super::super::{AnswerProblem, ConnectFailure, Spent, WechatSettings};
use super::*;
use crate::AppSecret;

const USER: &str = r#"{"session_key":"tiihtNczf5v6AKRyjwEUhQ==","openid":"oGZUI0egBJY1zhBYw2KhdUfwVJJE"}"#;
const BUSY: &str = r#"{"errcode":-1,"errmsg":"system error rid: 642452e9-4c04dd06-08584dc4"}"#;
const USED: &str = r#"{"errcode":40163,"errmsg":"code been used, rid: 642452e9-4c04dd06-08584dc4"}"#;
const BAD_SECRET: &str =
    r#"{"errcode":40125,"errmsg":"invalid appsecret, view more at http:\/\/t.cn\/x, rid: 64-a-b"}"#;

const SECRET: &str = "5ecret&js_code=evil 100%+#";
const CODE: &str = "0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P";

#[derive(Debug, Clone)]
enum Play {
    /// Answers as `/sns/*` does: status 200, text/plain.
    Say(&'static str),
    Raw(&'static str),
    /// Reads the question and says nothing.
    Hang,
    /// Reads the question and closes the connection.
    HangUp,
    /// Goes on sending.
    Endless,
}

/// Plays one after the other, the last one again and again.
struct Wechat {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Wechat {
    async fn plays(plays: &[Play]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (plays, theirs) = (Arc::new(plays.to_vec()), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&plays), Arc::clone(&theirs)));
            }
        });
        Self { url, asked }
    }

    /// The heads of the questions, as they came.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn client(&self) -> WechatClient {
        client(&[&self.url])
    }
}

async fn serve(
    mut stream: TcpStream,
    plays: Arc<Vec<Play>>,
    asked: Arc<Mutex<Vec<String>>>,
) -> io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let turn = {
            let mut asked = asked.lock().unwrap();
            asked.push(String::from_utf8(head).unwrap());
            asked.len() - 1
        };
        match &plays[turn.min(plays.len() - 1)] {
            Play::Say(body) => {
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
                );
                stream.write_all(format!("{head}{body}").as_bytes()).await?;
            }
            Play::Raw(text) => {
                stream.write_all(text.as_bytes()).await?;
                return Ok(());
            }
            Play::Hang => std::future::pending().await,
            Play::HangUp => return Ok(()),
            Play::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                loop {
                    stream.write_all(&[b' '; 1000]).await?;
                }
            }
        }
    }
}

fn settings(urls: &[&str]) -> WechatSettings {
    let base_urls = urls.iter().map(|url| (*url).to_owned()).collect();
    WechatSettings { base_urls, ..Default::default() }
}

fn client(urls: &[&str]) -> WechatClient {
    WechatClient::new(&settings(urls)).unwrap()
}

/// A client that has half a second for everything.
fn hurried(url: &str, concurrency: usize) -> WechatClient {
    let (connect_timeout, timeout) = (Duration::from_millis(200), Duration::from_millis(500));
    WechatClient::new(&WechatSettings { connect_timeout, timeout, concurrency, ..settings(&[url]) }).unwrap()
}

/// Where nobody listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A host whose name no resolver has to ask about: too long to be one.
fn no_name() -> String {
    format!("http://{}.invalid", "a".repeat(64))
}

fn app() -> WechatApp {
    WechatApp {
        appid: AppId::parse("wx4f4bc4dec97d474b").unwrap(),
        secret: AppSecret::new(SECRET.to_owned()).unwrap(),
    }
}

async fn exchange(client: &WechatClient) -> Result<WechatUser, ExchangeError> {
    client.exchange(&app(), &LoginCode::parse(CODE).unwrap()).await
}

async fn failure(client: &WechatClient) -> ExchangeError {
    exchange(client).await.unwrap_err()
}

#[tokio::test]
async fn the_question_has_four_encoded_parameters_and_no_more() {
    let wechat = Wechat::plays(&[Play::Say(USER)]).await;
    let user = exchange(&wechat.client()).await.unwrap();
    assert_eq!(user.openid.as_str(), "oGZUI0egBJY1zhBYw2KhdUfwVJJE");
    assert_eq!(user.session_key.expose(), "tiihtNczf5v6AKRyjwEUhQ==");
    assert_eq!(
        wechat.asked()[0].lines().next().unwrap(),
        "GET /sns/jscode2session?appid=wx4f4bc4dec97d474b&secret=5ecret%26js_code%3Devil%20100%25%2B%23\
         &js_code=0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P&grant_type=authorization_code HTTP/1.1"
    );
}

#[tokio::test]
async fn a_busy_wechat_is_asked_again() {
    let wechat = Wechat::plays(&[Play::Say(BUSY), Play::Say(BUSY), Play::Say(USER)]).await;
    exchange(&wechat.client()).await.unwrap();
    assert_eq!(wechat.asked().len(), 3);
}

#[tokio::test]
async fn a_wechat_that_stays_busy_is_asked_three_times() {
    let wechat = Wechat::plays(&[Play::Say(BUSY)]).await;
    let error = failure(&wechat.client()).await;
    assert_eq!((error.kind(), error.rid()), ("busy", Some("642452e9-4c04dd06-08584dc4")));
    assert_eq!(wechat.asked().len(), 3);
}

#[tokio::test]
async fn a_code_that_busy_wechat_had_taken_is_spent() {
    let wechat = Wechat::plays(&[Play::Say(BUSY), Play::Say(USED)]).await;
    let error = failure(&wechat.client()).await;
    assert_eq!((error.kind(), error.code_spent()), ("code_spent", Spent::Yes));
    assert_eq!(wechat.asked().len(), 2);
}

#[tokio::test]
async fn what_spends_a_code_is_not_repeated() {
    for (play, kind, spent) in [
        (Play::Say(USED), "code_spent", Spent::Yes),
        (Play::Say(BAD_SECRET), "app_misconfigured", Spent::No),
        (Play::Say("{}"), "unexpected_answer", Spent::Maybe),
        (Play::HangUp, "interrupted", Spent::Maybe),
        (Play::Raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"), "interrupted", Spent::Maybe),
        (Play::Raw("SSH-2.0-OpenSSH\r\n\r\n"), "interrupted", Spent::Maybe),
        (Play::Endless, "unexpected_answer", Spent::Maybe),
    ] {
        let wechat = Wechat::plays(&[play.clone(), Play::Say(USER)]).await;
        let error = failure(&wechat.client()).await;
        assert_eq!((error.kind(), error.code_spent()), (kind, spent), "{play:?}: {error}");
        assert_eq!(wechat.asked().len(), 1, "{play:?}");
    }
}

/// Libraries like to ask again when a connection that lay idle breaks.
#[tokio::test]
async fn a_question_on_a_used_connection_is_not_repeated_either() {
    let wechat = Wechat::plays(&[Play::Say(USER), Play::HangUp, Play::Say(USER)]).await;
    let client = wechat.client();
    exchange(&client).await.unwrap();
    assert_eq!(failure(&client).await, ExchangeError::Interrupted);
    assert_eq!(wechat.asked().len(), 2);
}

#[tokio::test]
async fn a_connection_that_was_closed_in_between_costs_no_login() {
    let closes = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{USER}", USER.len());
    let wechat = Wechat::plays(&[Play::Raw(closes.leak()), Play::Say(USER)]).await;
    let client = wechat.client();
    exchange(&client).await.unwrap();
    // Until the client has seen the end of the connection.
    sleep(Duration::from_millis(50)).await;
    exchange(&client).await.unwrap();
}

#[tokio::test]
async fn a_status_other_than_200_is_nothing_of_wechats() {
    for (answer, status) in [
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\n<html>", 502),
        ("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", 302),
        ("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}", 201),
    ] {
        let wechat = Wechat::plays(&[Play::Raw(answer), Play::Say(USER)]).await;
        let expected = ExchangeError::UnexpectedAnswer(AnswerProblem::Status(status));
        assert_eq!(failure(&wechat.client()).await, expected);
        assert_eq!(wechat.asked().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_read_to_its_limit() {
    let wechat = Wechat::plays(&[Play::Endless]).await;
    let expected = ExchangeError::UnexpectedAnswer(AnswerProblem::TooLarge);
    assert_eq!(failure(&wechat.client()).await, expected);
}

#[tokio::test]
async fn silence_ends_with_the_time_and_may_have_spent_the_code() {
    let wechat = Wechat::plays(&[Play::Hang]).await;
    let error = failure(&hurried(&wechat.url, 1)).await;
    assert_eq!((error.kind(), error.code_spent()), ("timed_out", Spent::Maybe));
    assert_eq!(wechat.asked().len(), 1);
}

#[tokio::test]
async fn waiting_for_room_counts_and_spends_nothing() {
    let wechat = Wechat::plays(&[Play::Hang]).await;
    let client = hurried(&wechat.url, 1);
    let (first, second) = tokio::join!(failure(&client), failure(&client));
    assert_eq!((first.kind(), second.kind(), second.code_spent()), ("timed_out", "overloaded", Spent::No));
    assert_eq!(wechat.asked().len(), 1);
}

#[tokio::test]
async fn where_nobody_listens_wechat_is_unreachable() {
    let error = failure(&client(&[&nowhere().await])).await;
    assert_eq!(error, ExchangeError::Unreachable(ConnectFailure::Refused));
    assert_eq!(error.code_spent(), Spent::No);
}

#[tokio::test]
async fn the_next_address_is_used_and_kept_when_no_connection_comes_about() {
    let wechat = Wechat::plays(&[Play::Say(USER)]).await;
    let client = client(&[&nowhere().await, &nowhere().await, &wechat.url]);
    exchange(&client).await.unwrap();
    assert_eq!(client.wire.preferred.load(Ordering::Relaxed), 2);
    exchange(&client).await.unwrap();
    assert_eq!(wechat.asked().len(), 2);
}

#[tokio::test]
async fn the_next_address_is_not_used_once_something_was_sent() {
    let (broken, other) = (Wechat::plays(&[Play::HangUp]).await, Wechat::plays(&[Play::Say(USER)]).await);
    assert_eq!(failure(&client(&[&broken.url, &other.url])).await, ExchangeError::Interrupted);
    assert_eq!(other.asked().len(), 0);
}

#[tokio::test]
async fn a_tls_handshake_that_fails_or_hangs_spends_nothing() {
    // Answers in plain HTTP, which is no TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let failed = client(&[&url]);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 1000]).await;
        }
    });
    assert_eq!(failure(&failed).await, ExchangeError::Unreachable(ConnectFailure::Tls));

    // Takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (connect_timeout, timeout) = (Duration::from_millis(50), Duration::from_secs(5));
    let settings = settings(&[&format!("https://{}", silent.local_addr().unwrap())]);
    let hung = WechatClient::new(&WechatSettings { connect_timeout, timeout, ..settings }).unwrap();
    assert_eq!(failure(&hung).await, ExchangeError::Unreachable(ConnectFailure::TimedOut));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_said_to_be_one() {
    let error = failure(&client(&[&no_name()])).await;
    assert_eq!(error, ExchangeError::Unreachable(ConnectFailure::Dns));
}

/// Says that a name does not exist until it is told otherwise.
#[derive(Clone, Default)]
struct Names {
    back: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let found: Result<reqwest::dns::Addrs, _> = if self.back.load(Ordering::Relaxed) {
            // Port 0: that of the address is meant.
            Ok(Box::new(iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))))
        } else {
            Err(format!("no address for {}", name.as_str()).into())
        };
        Box::pin(async { found })
    }
}

#[tokio::test]
async fn a_name_that_has_an_address_again_is_asked_again() {
    let wechat = Wechat::plays(&[Play::Say(USER)]).await;
    let settings = settings(&[&wechat.url.replace("127.0.0.1", "wechat.invalid")]);
    let names = Names::default();
    let http = Wire::http(&settings).dns_resolver(Arc::new(names.clone()));
    let client = WechatClient::on(Wire::over(http, &settings).unwrap(), &settings);
    for logins in 1..=3 {
        assert_eq!(failure(&client).await, ExchangeError::Unreachable(ConnectFailure::Dns));
        // Each login asks anew: that there was no address is not remembered.
        assert_eq!(names.asked.load(Ordering::Relaxed), 3 * logins);
    }
    assert_eq!(wechat.asked().len(), 0);
    names.back.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        exchange(&client).await.unwrap();
    }
    assert_eq!(wechat.asked().len(), 3);
}

/// Everything that is logged on this thread while `work` runs.
async fn logged(work: impl Future<Output = ()>) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    // A line that another test's thread, which listens to nothing, comes to first would be switched off for all.
    static LISTEN: std::sync::Once = std::sync::Once::new();
    LISTEN.call_once(|| {
        let everything = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(io::sink);
        let _ = tracing::subscriber::set_global_default(everything.finish());
    });
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(move || writer.clone());
    let guard = tracing::subscriber::set_default(log.with_ansi(false).finish());
    work.await;
    drop(guard);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_failure_is_logged_once_with_what_finds_it_again() {
    let log = logged(async {
        let wechat = Wechat::plays(&[Play::Say(BUSY), Play::Say(USED)]).await;
        failure(&wechat.client()).await;
    })
    .await;
    let line = log.lines().find(|line| line.contains("WARN")).unwrap();
    for part in ["wx4f4bc4dec97d474b", "errcode=40163", "642452e9-4c04dd06-08584dc4", "attempts=2"] {
        assert!(line.contains(part), "{part} is missing in {log}");
    }
    assert_eq!(log.matches("WARN").count() + log.matches("ERROR").count(), 1, "{log}");
}

#[tokio::test]
async fn a_misconfigured_app_is_logged_as_an_error_that_says_what_to_repair() {
    let log = logged(async {
        let wechat = Wechat::plays(&[Play::Say(BAD_SECRET)]).await;
        failure(&wechat.client()).await;
    })
    .await;
    assert!(log.contains("ERROR") && log.contains("the AppSecret is wrong"), "{log}");
    assert!(!log.contains("WARN"), "{log}");
}

#[tokio::test]
async fn no_secret_is_logged_or_shown_whatever_happens() {
    let shown = logged(async {
        let plays = [
            Play::Say(USER),
            Play::Say(USED),
            Play::HangUp,
            Play::Raw("HTTP/1.1 302 Found\r\nlocation: /x\r\n\r\n"),
        ];
        for play in plays {
            let wechat = Wechat::plays(&[play]).await;
            let client = wechat.client();
            tracing::info!("{:?} {client:?}", exchange(&client).await);
        }
        for url in [nowhere().await, no_name()] {
            tracing::info!("{:?}", failure(&client(&[&url])).await);
        }
    })
    .await;
    assert!(shown.contains("WARN"), "nothing was logged");
    for secret in ["5ecret", CODE, "tiihtNczf5v6AKRyjwEUhQ"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
