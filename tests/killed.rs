//! A gateway that is killed at any moment, again and again: whatever it has answered holds.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::future::join_all;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::harness::gateway::{self, ADMIN_TOKEN};
use crate::harness::redis::Server;
use crate::harness::{Config, Gateway, Numbers, Recorder, SHOP, secret, seed, tokens};

/// How often a gateway is killed under load, over all of them.
const KILLS: usize = 100;
/// How many are at it side by side, each with clients and a WeChat of its own.
const GATEWAYS: usize = 4;
/// Clients of one gateway that log in, and as many that end sessions, their own or as the operator: each client does one thing
/// after the other.
const CLIENTS: usize = 6;
const CODES_EACH: usize = 10;
const ENDS_EACH: usize = 2;

/// How long after the first request the kill comes, at most.
const LOAD_MILLIS: usize = 200;
/// How long after its start a gateway is killed that is not up yet.
const START_MILLIS: usize = 150;

/// What clients know of their sessions. A request counts as answered once its answer was read to the end.
#[derive(Default)]
struct Known {
    /// Not sent yet.
    codes: Vec<String>,
    /// Sent, and never answered.
    cut_codes: Vec<String>,
    /// Tokens of sessions that nobody has asked to end.
    live: Vec<String>,
    /// Tokens of sessions whose end was answered.
    ended: Vec<String>,
    cut_ends: usize,
}

/// What one kill left of the requests before it.
#[derive(Default)]
struct Round {
    known: Known,
    /// Tokens of sessions that were asked to end, and it was never answered.
    ending: Vec<String>,
}

/// One gateway and its clients.
struct Killed {
    gateway: Gateway,
    known: Known,
    numbers: Numbers,
}

impl Killed {
    async fn new(config: Config, seed: u64) -> Self {
        Self { gateway: Gateway::start(config).await, known: Known::default(), numbers: Numbers::new(seed) }
    }

    async fn round(&mut self) {
        self.fill_up_codes().await;
        let load = self.load();
        self.kill_within(LOAD_MILLIS).await;
        let round = load.await.unwrap();
        if self.numbers.below(4) == 0 {
            self.gateway.begin_to_start_again();
            self.kill_within(START_MILLIS).await;
        }
        self.gateway.start_again().await;
        let log = self.gateway.process.log();
        assert!(!log.contains("damaged"), "{log}");
        self.check(&round.known.live, &round.known.ended).await;
        self.end_again(&round.ending).await;
        self.known.add(round.known);
        self.known.ended.extend(round.ending);
    }

    async fn fill_up_codes(&mut self) {
        let missing = CLIENTS * CODES_EACH - self.known.codes.len();
        for _ in 0..missing {
            // WeChat lets nobody log in over and over.
            let user = format!("user-{}", self.numbers.below(1000));
            self.known.codes.push(self.gateway.simulator.code(&SHOP, &user).await);
        }
    }

    /// Logins and ends side by side, until each client has an error or nothing more to ask for.
    fn load(&mut self) -> tokio::task::JoinHandle<Round> {
        let codes = std::mem::take(&mut self.known.codes);
        let most = self.known.live.len().min(CLIENTS * ENDS_EACH);
        let leaving: Vec<_> = self.known.live.drain(..most).collect();
        let mut clients = Vec::new();
        for codes in codes.chunks(CODES_EACH) {
            let login = self.gateway.post("/login");
            clients.push(tokio::spawn(log_in(login, codes.to_vec())));
        }
        for (n, leaving) in leaving.chunks(ENDS_EACH).enumerate() {
            let (logout, sessions) = (self.gateway.post("/logout"), self.gateway.admin_url("/sessions"));
            let client = self.gateway.client.clone();
            let by_owner = move |token: &str| logout.try_clone().unwrap().bearer_auth(token);
            let by_operator = move |token: &str| {
                client.delete(format!("{sessions}/{}", tokens::sid(token))).bearer_auth(ADMIN_TOKEN)
            };
            clients.push(match n % 2 {
                0 => tokio::spawn(end(by_owner, leaving.to_vec())),
                _ => tokio::spawn(end(by_operator, leaving.to_vec())),
            });
        }
        tokio::spawn(async {
            let mut all = Round::default();
            for one in join_all(clients).await {
                let Round { known, ending } = one.unwrap();
                all.known.add(known);
                all.ending.extend(ending);
            }
            all
        })
    }

    async fn kill_within(&mut self, millis: usize) {
        let micros = self.numbers.below(millis * 1000);
        tokio::time::sleep(Duration::from_micros(micros as u64)).await;
        self.gateway.process.signal("KILL");
        self.gateway.process.end().await;
    }

    /// What was answered is so.
    async fn check(&self, live: &[String], ended: &[String]) {
        for token in live {
            let (status, session) = self.session_of(token).await;
            let is_kept = session["session_expires_in"].is_u64();
            assert!(status == 200 && is_kept, "a login was answered and is lost: {status} {session}");
        }
        for token in ended {
            let (status, session) = self.session_of(token).await;
            let has_ended = status == 401 && session["error"] == "session_ended";
            assert!(has_ended, "an end was answered and is not in force: {status} {session}");
        }
    }

    async fn session_of(&self, token: &str) -> (u16, Value) {
        let answer = self.gateway.get_as(token, "/session").await;
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// A client that had no answer asks again, whatever came of it before.
    async fn end_again(&self, ending: &[String]) {
        for token in ending {
            let answer = self.gateway.post("/logout").bearer_auth(token).send().await.unwrap();
            assert_eq!(answer.status(), 204);
        }
    }

    /// Codes whose login was cut short: each is good for one login still, or is one that WeChat has exchanged.
    async fn send_cut_codes_again(&mut self) {
        let mut refused = BTreeSet::new();
        for code in std::mem::take(&mut self.known.cut_codes) {
            let (status, answer) = self.send_again(&code).await;
            if status == 200 {
                self.known.live.push(answer["token"].as_str().unwrap().to_owned());
            } else {
                assert_eq!(answer["error"], "code_used", "{status} {answer}");
                let hash = digest(&SHA256, code.as_bytes());
                refused.insert(hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            }
        }
        let calls = self.gateway.simulator.calls().await;
        let exchanged = calls.iter().filter(|call| call["errcode"].is_null());
        let exchanged: BTreeSet<_> =
            exchanged.filter_map(|call| Some(call["code_sha256"].as_str()?.to_owned())).collect();
        let wasted = refused.difference(&exchanged).count();
        assert_eq!(wasted, 0, "codes are refused that were never exchanged");
    }

    /// One whose claim outlives the gateway that made it is taken again when it has lapsed.
    async fn send_again(&self, code: &str) -> (u16, Value) {
        loop {
            let (status, answer) = self.gateway.login(json!({ "code": code, "appid": SHOP.appid })).await;
            if answer["error"] != "wechat_busy" {
                return (status, answer);
            }
        }
    }
}

impl Known {
    fn add(&mut self, more: Self) {
        self.codes.extend(more.codes);
        self.cut_codes.extend(more.cut_codes);
        self.live.extend(more.live);
        self.ended.extend(more.ended);
        self.cut_ends += more.cut_ends;
    }
}

async fn log_in(login: RequestBuilder, codes: Vec<String>) -> Round {
    let mut round = Round::default();
    let mut codes = codes.into_iter();
    for code in codes.by_ref() {
        let login = login.try_clone().unwrap().json(&json!({ "code": code, "appid": SHOP.appid }));
        let answer = async { login.send().await?.json::<Value>().await };
        let Ok(answer) = answer.await else {
            round.known.cut_codes.push(code);
            break;
        };
        let token = answer["token"].as_str().unwrap_or_else(|| panic!("no token: {answer}"));
        round.known.live.push(secret(token));
    }
    round.known.codes.extend(codes);
    round
}

async fn end(ask: impl Fn(&str) -> RequestBuilder, tokens: Vec<String>) -> Round {
    let mut round = Round::default();
    let mut tokens = tokens.into_iter();
    for token in tokens.by_ref() {
        let answer = async {
            let answer = ask(&token).send().await?;
            Ok((answer.status(), answer.text().await?))
        };
        let answer: reqwest::Result<_> = answer.await;
        let Ok((status, answer)) = answer else {
            round.ending.push(token);
            round.known.cut_ends += 1;
            break;
        };
        assert!(status.is_success(), "{status} {answer}");
        round.known.ended.push(token);
    }
    round.known.live.extend(tokens);
    round
}

/// Kills gateways with the store that `with_store` gives them, until it has been done [`KILLS`] times.
async fn kill_again_and_again(with_store: impl Fn(Config) -> Config) {
    let seed = seed();
    let recorder = Recorder::start().await;
    let gateways = (0..GATEWAYS).map(|n| {
        let config = with_store(Config::new(recorder.port, gateway::ROUTES)).with_operator();
        let config = config.with("[log]\nlevel = \"info\"\n");
        tokio::spawn(async move {
            let mut killed = Killed::new(config, seed ^ n as u64).await;
            for _ in 0..KILLS / GATEWAYS {
                killed.round().await;
            }
            let cut_logins = killed.known.cut_codes.len();
            killed.send_cut_codes_again().await;
            killed.check(&killed.known.live, &killed.known.ended).await;
            let Known { live, ended, cut_ends, .. } = &killed.known;
            eprintln!(
                "{} live, {} ended, cut: {cut_logins} logins, {cut_ends} ends",
                live.len(),
                ended.len()
            );
            assert!(!live.is_empty() && !ended.is_empty() && cut_logins > 0 && *cut_ends > 0);
            killed.gateway
        })
    });
    for killed in join_all(gateways).await {
        killed.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_random_a_hundred_times_with_a_file_every_answer_holds() {
    kill_again_and_again(|config| config.with_head("")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_random_a_hundred_times_with_redis_every_answer_holds() {
    let redis = Server::start(&[]);
    kill_again_and_again(|config| {
        let config = config.with_head("[store]\nredis = { env = \"REDIS_URL\" }\n");
        config.with_variable("REDIS_URL", redis.url())
    })
    .await;
}
