//! Group A: every other part of the request line, and what takes no part in the decision.

use super::case;
use super::fixture::Fixture;
use crate::harness::{Outcome, exchange_all};

#[tokio::test]
async fn what_is_not_the_path_takes_no_part_in_the_decision() {
    for front in Fixture::in_both_orders().await {
        {
            let _case = case(
                "A09",
                "a raw `#` is refused, for it ends the path for some readers; an encoded one is a letter of its segment",
            );
            front.refuses(["/api/secret#/public/", "/public#/../api", "/#/../api", "/public?x#y"]).await;
            front
                .holds(&[
                    ("/api%23/public/x", 404, None),
                    ("/foo/secret%23/bar", 200, Some("/foo/secret%23/bar")),
                ])
                .await;
        }
        {
            let _case = case("A10", "the query takes no part in matching");
            front
                .holds(&[
                    ("/api/secret?x=/public/", 401, None),
                    ("/api/secret?/public", 401, None),
                    ("/internal?a=/public", 403, None),
                    ("/public?x=%zz&y=/../", 200, Some("/public?x=%zz&y=/../")),
                ])
                .await;
        }
        {
            let _case = case("A11", "an encoded `?` begins no query");
            front.holds(&[("/api/secret%3f/public/x", 401, None)]).await;
            let kept = "/api/secret%3F/public/x";
            front.holds_for_alice(&[("/api/secret%3f/public/x", 200, Some(kept))]).await;
            front.refuses(["/public%3f/../api"]).await;
        }
        {
            let _case = case(
                "A33",
                "no User-Agent and no path of a health check opens anything: both can be sent by anyone",
            );
            for agent in ["GoogleHC/1.0", "kube-probe/1.30"] {
                let request =
                    format!("GET /api/secret HTTP/1.1\r\nHost: gw.test\r\nUser-Agent: {agent}\r\n\r\n");
                assert_eq!(front.send(request).await.way(), (401, None), "{agent}");
            }
            front
                .holds(&[("/healthz/../api", 400, None), ("/healthz/x", 404, None), ("/HEALTHZ", 404, None)])
                .await;
        }
    }
}

#[tokio::test]
async fn a_target_is_a_path_or_names_the_host() {
    for front in Fixture::in_both_orders().await {
        {
            let _case = case(
                "A20",
                "an absolute target is decided by its path, must name the host of the request, and is sent on as a path",
            );
            front.holds(&[("http://gw.test/api/secret", 401, None)]).await;
            front
                .holds_for_alice(&[
                    ("http://gw.test/api/secret?x", 200, Some("/api/secret?x")),
                    ("http://gw.test/api/%73ecret", 200, Some("/api/secret")),
                ])
                .await;
            for other in ["http://other.test/public", "http://gw.test:81/public", "http://u@gw.test/public"] {
                assert_eq!(front.get(other).await.way(), (400, None), "{other}");
            }
        }
        {
            let _case = case("A21", "a target that is no path is refused");
            front.refuses(["*", "api", "?x", "ftp://gw.test/public"]).await;
            let options = front.send("OPTIONS * HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
            assert_eq!(options.way(), (400, None));
        }
        {
            let _case = case("A22", "two slashes at the start are no authority, and nothing redirects there");
            let outcome = front.get("//evil.test/api").await;
            assert_eq!((outcome.way(), outcome.header("location")), ((400, None), None));
        }
        {
            let _case = case("A34", "an empty or missing target, and a space in one, are refused");
            for line in [
                "GET  HTTP/1.1",
                "GET HTTP/1.1",
                "GET",
                "GET /public",
                "GET /public x HTTP/1.1",
                "GET  /public HTTP/1.1",
                "GET /public  HTTP/1.1",
            ] {
                let outcome = front.send(format!("{line}\r\nHost: gw.test\r\n\r\n")).await;
                assert_eq!(outcome.way(), (400, None), "{line:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_long_target_is_refused_and_costs_nothing() {
    let _case =
        case("A26", "a target has a longest length; a longer one is refused, and the gateway lives on");
    for front in Fixture::in_both_orders().await {
        let of_length = |bytes: usize| format!("/public/{}", "a".repeat(bytes - "/public/".len()));
        let longest = of_length(8 << 10);
        front.holds(&[(&longest, 200, Some(&longest))]).await;
        for bytes in [(8 << 10) + 1, 16 << 10] {
            let outcome = front.get(of_length(bytes)).await;
            assert_eq!((outcome.way(), outcome.error()), ((414, None), Some("target_too_long")), "{bytes}");
        }
        for bytes in [64 << 10, 1 << 20] {
            // Over the limit of the whole head as well, and that may be the end of the connection.
            let request = format!("GET {} HTTP/1.1\r\nHost: gw.test\r\n\r\n", of_length(bytes));
            let seen = front.recorder.received();
            let status = Outcome::told(exchange_all(front.gateway.port, request).await).status;
            assert!(matches!(status, 400 | 414 | 431), "{bytes}: {status}");
            assert_eq!(front.recorder.received(), seen, "{bytes}");
        }
        front.holds(&[("/public/next", 200, Some("/public/next"))]).await;
    }
}

#[tokio::test]
async fn a_method_opens_nothing() {
    for front in Fixture::in_both_orders().await {
        {
            let _case = case("A27", "methods are compared exactly, and no header or query overrides one");
            for (request, way) in [
                ("get /internal", (403, None)),
                ("FOO /api", (401, None)),
                ("get /item/7", (405, None)),
                ("DELETE /item/7?_method=GET", (405, None)),
                ("GET /item/7?_method=DELETE", (200, Some("/item/7?_method=DELETE"))),
            ] {
                let request = format!("{request} HTTP/1.1\r\nHost: gw.test\r\n\r\n");
                assert_eq!(front.send(&request).await.way(), way, "{request}");
            }
            for name in
                ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override"]
            {
                let head = format!("/item/7 HTTP/1.1\r\nHost: gw.test\r\n{name}: DELETE\r\n\r\n");
                let outcome = front.send(format!("GET {head}")).await;
                assert_eq!(outcome.way(), (200, Some("/item/7")));
                let seen = outcome.seen.expect("it came through");
                assert!(!seen.head.contains("DELETE"), "{name}:\n{}", seen.head);
                let head = head.replace(": DELETE", ": GET");
                assert_eq!(front.send(format!("DELETE {head}")).await.way(), (405, None), "{name}");
            }
        }
        {
            let _case = case("A28", "HEAD and OPTIONS need a token like any other method, a preflight too");
            let preflight = "Origin: https://a.test\r\nAccess-Control-Request-Method: GET\r\n";
            for (method, headers) in
                [("HEAD", "Connection: close\r\n"), ("OPTIONS", ""), ("OPTIONS", preflight)]
            {
                let request = format!("{method} /api/secret HTTP/1.1\r\nHost: gw.test\r\n{headers}\r\n");
                let outcome = front.send(&request).await;
                assert_eq!(
                    (outcome.way(), outcome.error()),
                    ((401, None), Some("token_missing")),
                    "{request}"
                );
            }
        }
    }
}
