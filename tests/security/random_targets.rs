//! Group A: whatever bytes stand in a target, the gateway's decision, its log and the service know one path.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::case;
use super::fixture::Fixture;
use crate::harness::{Connection, Numbers, Outcome, seed};

/// So many targets take a few seconds; a test beside the code runs a million through the same code without the network.
const TARGETS: usize = 12_000;
const CLIENTS: usize = 4;

/// Pieces of paths, mostly those that gateways were once wrong about.
const PIECES: [&str; 36] = [
    "/",
    "/",
    "/",
    "/",
    "/api",
    "/public",
    "/internal",
    "/strip",
    "/item",
    "/foo",
    "/bar",
    "public",
    "internal",
    ".",
    "..",
    "%2e",
    "%2F",
    "%5c",
    "\\",
    "%",
    "%25",
    "%32",
    "%3b",
    ";",
    ";x=1",
    "%3f",
    "?",
    "#",
    "*",
    "{id}",
    "%61",
    "%ff",
    "%e4%b8%ad",
    "|",
    "a",
    "http://gw.test",
];

/// Bytes that a client may send for a target.
fn target(numbers: &mut Numbers) -> Vec<u8> {
    let mut target = Vec::new();
    if numbers.below(20) > 0 {
        target.extend_from_slice(PIECES[4 + numbers.below(6)].as_bytes());
    }
    for _ in 0..numbers.below(6) {
        match numbers.below(10) {
            // An end of a line would end the target.
            0 => target.extend(Some(numbers.below(256) as u8).filter(|byte| !b"\r\n".contains(byte))),
            _ => target.extend_from_slice(PIECES[numbers.below(PIECES.len())].as_bytes()),
        }
    }
    target
}

/// What a client saw of one request.
struct Asked {
    target: Vec<u8>,
    status: u16,
}

/// Asks for many targets, over one connection as long as the gateway keeps it; by the request ids of the answers.
async fn ask(port: u16, token: String, mut numbers: Numbers, count: usize) -> HashMap<String, Asked> {
    let mut asked = HashMap::new();
    let mut connection = None;
    for _ in 0..count {
        let target = target(&mut numbers);
        let head = format!(" HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\n\r\n");
        let mut open = match connection.take() {
            Some(open) => open,
            None => Connection::open(port).await,
        };
        let answer = Outcome::told(open.ask([b"GET ", &*target, head.as_bytes()].concat()).await);
        if answer.header("connection") != Some("close") {
            connection = Some(open);
        }
        let shown = target.escape_ascii();
        let Some(id) = answer.header("x-request-id") else {
            assert_eq!(answer.status, 400, "{shown}: no request, and no refusal:\n{}", answer.answer);
            continue;
        };
        let id = id.to_owned();
        asked.insert(id, Asked { target, status: answer.status });
    }
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_stands_in_a_target_there_is_one_path() {
    let _case = case(
        "A31",
        "for any bytes in a target: refused, or the service, the log and the decision have the same canonical path",
    );
    let [front, _] = Fixture::in_both_orders().await;
    let seed = seed();
    let token = front.token().await;
    let clients = (0..CLIENTS).map(|n| {
        let numbers = Numbers::new(seed ^ n as u64);
        tokio::spawn(ask(front.gateway.port, token.to_owned(), numbers, TARGETS / CLIENTS))
    });
    let mut asked = HashMap::new();
    for client in futures_util::future::join_all(clients).await {
        asked.extend(client.unwrap());
    }
    let logged = logged(&front, &asked).await;
    let seen: HashMap<_, _> =
        front.recorder.seen().into_iter().map(|seen| (seen.one("x-request-id").to_owned(), seen)).collect();
    let mut verdicts = BTreeMap::new();
    for (id, Asked { target, status }) in &asked {
        let (path, shown) = (&logged[id], target.escape_ascii());
        let came = seen.get(id).map(|seen| seen.target().to_owned());
        assert_eq!(came.is_some(), *status == 200, "{shown}: {status}");
        if matches!(status, 400 | 414) {
            assert_eq!(path, "", "{shown}: a refused target has no path");
            continue;
        }
        assert!(is_unambiguous(path), "{shown}: {path}");
        if let Some(came) = came {
            let stripped =
                path.strip_prefix("/strip").filter(|rest| rest.is_empty() || rest.starts_with('/'));
            let expected = stripped.map_or(&**path, |rest| if rest.is_empty() { "/" } else { rest });
            let query = target.iter().position(|byte| *byte == b'?').map_or(&[][..], |at| &target[at..]);
            assert_eq!(came, format!("{expected}{}", String::from_utf8_lossy(query)), "{shown}");
        }
        verdicts.insert(path, *status);
    }
    assert!(verdicts.len() > TARGETS / 100, "only {} targets had a path", verdicts.len());
    for (path, status) in verdicts {
        assert_eq!(front.get_as_alice(path).await.status, status, "{path}: asked for as the log has it");
    }
}

/// The path of each request in the access log.
async fn logged(front: &Fixture, asked: &HashMap<String, Asked>) -> HashMap<String, String> {
    let all = async {
        loop {
            let paths = read_log(&front.gateway.process.stdout());
            if asked.keys().all(|id| paths.contains_key(id)) {
                return paths;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("every request has a line in the log")
}

fn read_log(log: &str) -> HashMap<String, String> {
    let lines = log.lines().filter(|line| line.ends_with('}'));
    let values = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let text = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    values.map(|line| (text(&line, "request_id"), text(&line, "path"))).collect()
}

/// However a service reads this path, decoding it or not, cutting parameters off or not, its segments stay what they are;
/// and it has no other spelling.
fn is_unambiguous(path: &str) -> bool {
    let decoded = percent_decoded(path.as_bytes());
    let Ok(text) = String::from_utf8(decoded.clone()) else { return false };
    let segments: Vec<_> =
        text.split('/').skip(1).map(|segment| segment.split(';').next().unwrap()).collect();
    path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#?".contains(&byte))
        && path.split('%').skip(1).all(is_needed_escape)
        && segments.len() == path.matches('/').count()
        && !segments.iter().any(|segment| [".", ".."].contains(segment))
        && !segments.iter().rev().skip(1).any(|segment| segment.is_empty())
        && !text.contains(['\\', '\0'])
        && percent_decoded(&decoded) == decoded
}

/// Whether what follows a `%` is in upper case, and no character that stands for itself.
fn is_needed_escape(rest: &str) -> bool {
    let value = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    value.is_some_and(|value| {
        rest.starts_with(&format!("{value:02X}"))
            && !value.is_ascii_alphanumeric()
            && !b"-._~".contains(&value)
    })
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match (bytes[at], digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}
