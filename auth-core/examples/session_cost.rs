//! The measurements of `benches/sessions.sh`: a store, or the set of ends, filled with many entries.
//!
//! - `session_cost memory STORE COUNT`: the bytes of a session
//! - `session_cost ends COUNT`: the bytes of an end in the set that every request asks
//! - `session_cost lookups ENDS LOOKUPS`: asks that set, for callgrind to count
//! - `session_cost sweep STORE COUNT`: how long logins wait beside the sweep of so many sessions
//! - `session_cost start STORE COUNT`: opens a store of so many sessions and as many ends, as after a crash
//!
//! STORE is `memory`, `embedded:FILE` or `redis://HOST:PORT`. FILE and the server must be empty.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::login::sweep_store;
use auth_core::revocation::Revocations;
use auth_core::session::{
    EmbeddedStore, Ended, LoginSession, MemoryStore, RedisSettings, RedisStore, Seal, SessionStore,
};
use auth_core::{AppId, OpenId, SessionKey, Sid, SystemClock, UnionId};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use futures_util::future::try_join_all;

/// As the gateway has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

/// Far from now, so that Redis lets nothing go by itself meanwhile.
const EXPIRES_AT: u64 = 4_000_000_000;
/// As many logins at once.
const AT_ONCE: usize = 1024;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["memory", store, count] => memory(store, count.parse()?).await,
        ["ends", count] => {
            ends(count.parse()?);
            Ok(())
        }
        ["lookups", ends, lookups] => {
            lookups_among(ends.parse()?, lookups.parse()?);
            Ok(())
        }
        ["sweep", store, count] => sweep(store, count.parse()?).await,
        ["start", store, count] => start(store, count.parse()?).await,
        _ => Err("session_cost memory | ends | lookups | sweep | start …".into()),
    }
}

fn open(store: &str) -> Result<Arc<dyn SessionStore>, Failure> {
    let seal = Seal::ephemeral();
    Ok(match store.split_once(':') {
        None => Arc::new(MemoryStore::new(u64::MAX)),
        Some(("embedded", file)) => Arc::new(EmbeddedStore::open(file, u64::MAX, seal)?),
        Some(_) => {
            let mut settings = RedisSettings::new(store.parse()?);
            settings.command = Duration::from_secs(60);
            Arc::new(RedisStore::open(&settings, seal, Arc::new(SystemClock))?)
        }
    })
}

fn session(random: &dyn SecureRandom, number: usize, expires_at: u64) -> Result<LoginSession, Failure> {
    Ok(LoginSession {
        sid: Sid::random(random),
        app: AppId::parse("wx4f4bc4dec97d474b")?,
        openid: OpenId::parse(&format!("oGZUI0egBJY1zhBYw2Kh{number:08}"))?,
        unionid: Some(UnionId::parse(&format!("ocMvos6NjeKLIBqg5Mr9{number:08}"))?),
        session_key: SessionKey::new("tiihtNczf5v6AKRyjwEUhQ==".into()),
        logged_in_at: now(),
        expires_at,
    })
}

async fn fill(store: &dyn SessionStore, count: usize, expires_at: u64) -> Result<(), Failure> {
    let random = SystemRandom::new();
    for piece in (0..count).collect::<Vec<_>>().chunks(AT_ONCE) {
        let sessions: Result<Vec<_>, _> =
            piece.iter().map(|number| session(&random, *number, expires_at)).collect();
        try_join_all(sessions?.into_iter().map(|session| store.put(session))).await?;
    }
    Ok(())
}

async fn memory(kind: &str, count: usize) -> Result<(), Failure> {
    let store = open(kind)?;
    let before = used(kind)?;
    let started = Instant::now();
    fill(&*store, count, EXPIRES_AT).await?;
    let taken = started.elapsed();
    let each = |bytes: u64| bytes / count as u64;
    say("bytes of a session in memory", each(used(kind)?.saturating_sub(before)));
    if let Some(file) = kind.strip_prefix("embedded:") {
        say("bytes of a session in the file", each(std::fs::metadata(file)?.len()));
    }
    say("sessions kept in a second", (count as f64 / taken.as_secs_f64()) as u64);
    Ok(())
}

/// The bytes that this process has in memory, or the server of Redis.
fn used(store: &str) -> Result<u64, Failure> {
    let Some(server) = store.strip_prefix("redis://") else { return resident() };
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(server)?;
    stream.write_all(b"INFO memory\r\nQUIT\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let used = answer.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used.ok_or("no used_memory")?.trim().parse()?)
}

fn resident() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<u64>()? * 1024)
}

fn some_ends(count: usize) -> impl Iterator<Item = Ended> {
    let random = SystemRandom::new();
    (0..count).map(move |_| Ended { sid: Sid::random(&random), until: EXPIRES_AT })
}

fn ends(count: usize) {
    let before = resident().unwrap_or_default();
    let revocations = Revocations::default();
    some_ends(count).for_each(|ended| revocations.insert(ended));
    let bytes = resident().unwrap_or_default().saturating_sub(before);
    say("bytes of an end", bytes / count as u64);
    let started = Instant::now();
    revocations.sweep(0);
    say("microseconds to look through them all, a 64th at a time", started.elapsed().as_micros() as u64);
}

fn lookups_among(ends: usize, lookups: usize) {
    let revocations = Revocations::default();
    some_ends(ends).for_each(|ended| revocations.insert(ended));
    let asked: Vec<_> = some_ends(4096).map(|ended| ended.sid).collect();
    for number in 0..lookups {
        black_box(revocations.contains(black_box(&asked[number % asked.len()])));
    }
}

/// Logins one after the other for a while, and then beside a sweep of all that was there.
async fn sweep(kind: &str, count: usize) -> Result<(), Failure> {
    let store = open(kind)?;
    fill(&*store, count, EXPIRES_AT).await?;
    let (log_in, deadline) = (Arc::clone(&store), Instant::now() + Duration::from_secs(2));
    show_waits("beside nothing", logins_while(&*log_in, || Instant::now() < deadline).await?);
    let sweeping = tokio::spawn(async move {
        let started = Instant::now();
        sweep_store(&*store, EXPIRES_AT).await.expect("the store works");
        started.elapsed()
    });
    show_waits("beside the sweep", logins_while(&*log_in, || !sweeping.is_finished()).await?);
    say("milliseconds that the sweep took", sweeping.await?.as_millis() as u64);
    Ok(())
}

async fn logins_while(store: &dyn SessionStore, go_on: impl Fn() -> bool) -> Result<Vec<Duration>, Failure> {
    let (random, mut waits) = (SystemRandom::new(), Vec::new());
    while go_on() {
        let session = session(&random, waits.len(), EXPIRES_AT + 3600)?;
        let started = Instant::now();
        store.put(session).await?;
        waits.push(started.elapsed());
    }
    Ok(waits)
}

fn show_waits(when: &str, mut waits: Vec<Duration>) {
    waits.sort_unstable();
    for (name, at) in [("the median", 0.5), ("99 in 100", 0.99), ("the longest", 1.0)] {
        let index = ((waits.len() as f64 * at) as usize).min(waits.len().saturating_sub(1));
        let wait = waits.get(index).copied().unwrap_or_default();
        say(&format!("microseconds that a login waits {when}, {name}"), wait.as_micros() as u64);
    }
}

async fn start(kind: &str, count: usize) -> Result<(), Failure> {
    let store = open(kind)?;
    fill(&*store, count, EXPIRES_AT).await?;
    for piece in some_ends(count).collect::<Vec<_>>().chunks(AT_ONCE) {
        try_join_all(piece.iter().map(|ended| store.end(*ended))).await?;
    }
    let kind = match kind.strip_prefix("embedded:") {
        // A copy of an open file is what a kill leaves.
        Some(file) => {
            let copy = format!("{file}.copy");
            std::fs::copy(Path::new(file), &copy)?;
            format!("embedded:{copy}")
        }
        None => kind.to_owned(),
    };
    drop(store);
    let started = Instant::now();
    let store = open(&kind)?;
    say("milliseconds to open the store", started.elapsed().as_millis() as u64);
    let started = Instant::now();
    let ended = store.ended(now()).await?;
    say("milliseconds to read the ends", started.elapsed().as_millis() as u64);
    let (started, revocations) = (Instant::now(), Revocations::default());
    ended.into_iter().for_each(|ended| revocations.insert(ended));
    say("milliseconds to put them in force", started.elapsed().as_millis() as u64);
    Ok(())
}

fn now() -> u64 {
    use auth_core::Clock;
    SystemClock.unix_secs()
}

#[expect(clippy::print_stdout, reason = "it is a program that reports")]
fn say(what: &str, number: u64) {
    println!("  {what:<70} {number:>10}");
}
