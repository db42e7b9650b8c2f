//! Requests that others were found to misread, as they were published.

use super::super::case;
use super::statuses;
use crate::harness::{Config, Gateway, Recorder, exchange_all};

const ROUTES: &str = r#"
[[route]]
path = "/*"
upstream = "service"
auth = "none"
[[route]]
path = "/evil"
auth = "deny"
[[route]]
path = "/bad_path/*"
auth = "deny"
"#;

#[tokio::test]
async fn no_published_request_makes_the_service_count_otherwise() {
    let _case = case(
        "D26",
        "of 75 published requests that others misread, none makes the service see more requests than were answered from it",
    );
    let payloads = include_str!("published.txt").lines().filter(|line| !line.starts_with("# "));
    let recorder = Recorder::start().await;
    // What is never completed ends by itself.
    let limits = "[server]\nheader_timeout = \"1s\"\nread_timeout = \"1s\"\nkeepalive_timeout = \"1s\"\n";
    let gateway = Gateway::start(Config::new(recorder.port, ROUTES).with(limits)).await;
    let all: Vec<_> = payloads.map(|payload| (payload, unescaped(payload))).collect();
    assert_eq!(all.len(), 75);
    let answered = futures_util::future::join_all(all.iter().map(|(payload, bytes)| {
        let (gateway, name) = (&gateway, *payload);
        async move { (name, statuses(&exchange_all(gateway.port, bytes).await)) }
    }))
    .await;
    let passed: usize =
        answered.iter().map(|(_, statuses)| statuses.iter().filter(|s| **s == 200).count()).sum();
    let seen = recorder.seen();
    assert_eq!(seen.len(), passed, "{answered:#?}\n{seen:#?}");
    for request in &seen {
        assert!(
            !request.target().contains("evil") && !request.target().contains("bad_path"),
            "{}",
            request.head
        );
    }
    // Each of them is an answer of the service or one refusal, and nothing comes after a refusal of a broken request.
    for (payload, statuses) in &answered {
        let broken = statuses.iter().position(|status| *status == 400);
        assert!(broken.is_none_or(|at| at + 1 == statuses.len()), "{payload}: {statuses:?}");
    }
}

/// The bytes that a line with escapes stands for.
fn unescaped(line: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), line.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let escape = (*first == b'\\').then(|| after.split_first()).flatten();
        (bytes, rest) = match escape {
            Some((b'r', after)) => ([bytes, vec![b'\r']].concat(), after),
            Some((b'n', after)) => ([bytes, vec![b'\n']].concat(), after),
            Some((b't', after)) => ([bytes, vec![b'\t']].concat(), after),
            Some((b'x', after)) => {
                let byte = u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap();
                ([bytes, vec![byte]].concat(), &after[2..])
            }
            _ => ([bytes, vec![*first]].concat(), after),
        };
    }
    bytes
}
