//! Groups H and N: the new token of a session, who gets it, and who must not.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::case;
use crate::harness::{Connection, Gateway};
use crate::renewal::{successor, token_of_age};

#[tokio::test]
async fn parallel_requests_get_one_successor_and_nobody_is_logged_out() {
    let _case = case(
        "H02",
        "forty parallel requests with a token past half its life, at two gateways, are all served and get one successor; \
         the old token goes on until its own end, so that no request that is under way is refused",
    );
    let ((one, _recorder), (other, _other_recorder)) =
        (Gateway::before_recorder().await, Gateway::before_recorder().await);
    let old = token_of_age(4000);
    let asked = (0..40).map(|n| {
        let (gateway, old) = (if n % 2 == 0 { &one } else { &other }, &old);
        async move { gateway.get_as(old, "/api/x").await }
    });
    let mut successors = BTreeSet::new();
    for answer in join_all(asked).await {
        assert_eq!(answer.status(), 200);
        successors.insert(successor(&answer).expect("each has the new token"));
    }
    assert_eq!(successors.len(), 1, "{successors:?}");
    let new = successors.first().unwrap();
    for gateway in [&one, &other] {
        for token in [&old, new] {
            assert_eq!(gateway.get_as(token, "/api/x").await.status(), 200);
        }
    }
}

#[tokio::test]
async fn a_new_token_is_in_no_answer_that_somebody_may_give_again() {
    let _case = case(
        "N11",
        "an answer that a service lets anybody keep is passed on as it is, without a new token; one that carries a token \
         is no-store; and what a service itself calls a new token reaches nobody, on any route",
    );
    let (gateway, recorder) = Gateway::before_recorder().await;
    let old = token_of_age(4000);
    let mut client = Connection::open(gateway.port).await;
    let ask =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {old}\r\n\r\n");
    for (lines, renews) in [
        ("Cache-Control: public, max-age=31536000, immutable\r\nETag: \"a\"", false),
        ("Cache-Control: max-age=60", false),
        ("Cache-Control: private, max-age=60", false),
        ("Cache-Control: s-maxage=60", false),
        ("Cache-Control: no-cache\r\nCache-Control: PUBLIC", false),
        ("Expires: Thu, 01 Jan 2099 00:00:00 GMT", false),
        ("Cache-Control: no-store\r\nSurrogate-Control: max-age=60", false),
        ("Cache-Control: no-store\r\nX-Accel-Expires: 60", false),
        ("ETag: \"a\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT", true),
        ("Cache-Control: no-cache, private", true),
        ("Cache-Control: max-age=0, private, must-revalidate", true),
        ("Cache-Control: no-store", true),
    ] {
        recorder.answer_with(format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: 0\r\n\r\n"));
        let answer = client.ask(ask("/api/x")).await.to_ascii_lowercase();
        assert!(answer.contains(&lines.to_ascii_lowercase().lines().next().unwrap().to_owned()), "{answer}");
        assert_eq!(answer.contains("x-session-token: "), renews, "{lines}: {answer}");
        let stored = renews || lines.contains("no-store");
        assert_eq!(answer.contains("cache-control: no-store"), stored, "{lines}: {answer}");
        assert!(answer.matches("no-store").count() <= 1, "{answer}");
    }
    // What a service says of tokens.
    for name in ["X-Session-Token", "x_session_token", "X.Session-Token", "X-SESSION-EXPIRES-IN"] {
        let own = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
        recorder.answer_with(format!("{own}{name}: evil\r\n\r\n"));
        for path in ["/api/x", "/opt/x", "/public/x"] {
            let answer = client.ask(ask(path)).await;
            assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("evil"), "{path}: {answer}");
        }
        client.ask(format!("GET /public/x HTTP/1.1\r\nHost: gw.test\r\n{name}: evil\r\n\r\n")).await;
        assert!(!recorder.last().head.contains("evil"), "{}", recorder.last().head);
    }
}
