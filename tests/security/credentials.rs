//! Group B: which headers are a credential, and what becomes of it.

use super::case;
use super::fixture::Fixture;
use crate::harness::{Outcome, gateway};

const KEEPING: &str = "[[route]]\npath = \"/keeps/*\"\nupstream = \"service\"\nforward_token = true\n";

async fn get(front: &Fixture, path: &str, lines: &str) -> Outcome {
    front.send(format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n")).await
}

#[tokio::test]
async fn a_bad_token_is_never_taken_for_a_good_one() {
    let front = Fixture::start(gateway::ROUTES).await;
    let token = front.token().await;
    {
        let _case = case(
            "B11",
            "a bad token is refused where one is optional; where it counts as none, the service sees neither it nor an identity",
        );
        let lines = "Authorization: Bearer a.b.c\r\nX-WX-OPENID: evil\r\n";
        let outcome = get(&front, "/opt/x", lines).await;
        assert_eq!((outcome.way(), outcome.error()), ((401, None), Some("token_malformed")));
        let seen = get(&front, "/lenient/x", lines).await.seen.expect("it comes through");
        assert!(!seen.head.contains("a.b.c") && !seen.head.contains("evil"), "{}", seen.head);
        assert!(!seen.folded().keys().any(|name| name.starts_with("X_WX")), "{}", seen.head);
    }
    {
        let _case = case("B24", "two different tokens in one request are refused, whichever is the good one");
        let (good, bad) = (format!("Authorization: Bearer {token}\r\n"), "Authorization: Bearer x\r\n");
        for lines in [format!("{good}{bad}"), format!("{bad}{good}")] {
            for path in ["/api/x", "/opt/x"] {
                let outcome = get(&front, path, &lines).await;
                assert_eq!(
                    (outcome.way(), outcome.error()),
                    ((401, None), Some("ambiguous_credentials")),
                    "{path}"
                );
            }
        }
        assert_eq!(
            get(&front, "/api/x", &format!("{good}{good}")).await.status,
            200,
            "one token, said twice"
        );
    }
    {
        let _case = case("B25", "a cookie is no credential, one or many, whatever it holds");
        for lines in [
            format!("Cookie: token={token}\r\n"),
            format!("Cookie: sid={token}; sid=B\r\n"),
            format!("Cookie: sid=A\r\nCookie: Authorization=Bearer {token}\r\n"),
        ] {
            let outcome = get(&front, "/api/x", &lines).await;
            assert_eq!((outcome.way(), outcome.error()), ((401, None), Some("token_missing")), "{lines}");
        }
    }
    {
        let _case = case(
            "B26",
            "a malformed cookie or credential is a refusal; the name of the scheme alone has no case",
        );
        for (lines, error) in [
            ("Cookie: abc\r\n".to_owned(), Some("token_missing")),
            ("Cookie: =\r\n".to_owned(), Some("token_missing")),
            ("Cookie: ;;;\r\n".to_owned(), Some("token_missing")),
            ("Authorization:\r\n".to_owned(), Some("token_missing")),
            ("Authorization: Basic YTpi\r\n".to_owned(), Some("token_missing")),
            ("Authorization: Bearer\r\n".to_owned(), Some("token_malformed")),
            ("Authorization: Bearer \r\n".to_owned(), Some("token_malformed")),
            (format!("Authorization: Bearer  {token}\r\n"), Some("token_malformed")),
            (format!("Authorization: Bearer {token} x\r\n"), Some("token_invalid")),
            (format!("Authorization: Bearer {token}, Bearer {token}\r\n"), Some("token_malformed")),
            (format!("Authorization: {token}\r\n"), Some("token_missing")),
            (format!("Authorization: bearer {token}\r\n"), None),
            (format!("authorization: BEARER {token}\r\n"), None),
        ] {
            let outcome = get(&front, "/api/x", &lines).await;
            let expected = if error.is_some() { (401, None) } else { (200, Some("/api/x")) };
            assert_eq!((outcome.way(), outcome.error()), (expected, error), "{lines:?}");
        }
    }
}

#[tokio::test]
async fn the_token_stays_with_the_gateway_unless_a_route_says_otherwise() {
    let _case = case("B30", "a service sees the token only where its route says so");
    let front = Fixture::start(&format!("{}{KEEPING}", gateway::ROUTES)).await;
    let token = front.token().await;
    let line = format!("Authorization: Bearer {token}\r\n");
    for path in ["/api/x", "/opt/x", "/lenient/x", "/public/x"] {
        let seen = get(&front, path, &line).await.seen.expect("it comes through");
        assert!(!seen.head.contains(token), "{path}:\n{}", seen.head);
    }
    let seen = get(&front, "/keeps/x", &line).await.seen.expect("it comes through");
    assert_eq!(seen.one("authorization"), format!("Bearer {token}"));
}
