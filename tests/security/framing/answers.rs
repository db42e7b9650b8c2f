//! The other half of framing: answers of a service that come early, late, or wrongly framed.

use std::time::Duration;

use super::super::case;
use super::{LAST, statuses, targets};
use crate::harness::gateway::ROUTES;
use crate::harness::{Config, Connection, Gateway, Recorder, SHOP, Script, exchange_all};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\n\r\n")
}

#[tokio::test]
async fn no_frame_reaches_the_service_before_it_took_the_websocket() {
    let _case = case(
        "D02",
        "what a client sends before the service took its WebSocket waits, and is dropped if it did not",
    );
    let recorder = Recorder::start().await;
    let routes = format!("{ROUTES}\n[[route]]\npath = \"/ws\"\nupstream = \"service\"\nwebsocket = true\n");
    let gateway = Gateway::start(Config::new(recorder.port, &routes)).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let handshake = format!(
        "GET /ws HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let smuggled = get("/internal/x");
    for refusal in [OK, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"] {
        recorder.play_once(Script::after_body().send(refusal));
        let answers = exchange_all(gateway.port, format!("{handshake}{smuggled}{LAST}")).await;
        assert_eq!(statuses(&answers), [refusal[9..12].parse::<u16>().unwrap()], "{answers}");
    }
    // The service takes its time to say 101; what came meanwhile is the tunnel's, and the gateway's business no more.
    recorder.play_once(Script::after_body().wait(Duration::from_millis(300)).accept_websocket().silence());
    let mut client = Connection::open(gateway.port).await;
    client.send(format!("{handshake}frames")).await;
    recorder.until(|recorder| recorder.received().concat().ends_with(b"frames")).await;
    let received = recorder.received();
    let last = String::from_utf8_lossy(received.last().unwrap()).into_owned();
    assert!(last.ends_with("\r\n\r\nframes"), "{last}");
    assert!(targets(&recorder).iter().all(|target| target == "/ws"), "{:?}", targets(&recorder));
}

#[tokio::test]
async fn a_connection_with_half_a_request_on_it_is_not_used_again() {
    let _case = case(
        "D21",
        "a service that answers before it read the body gets no other request on that connection",
    );
    let recorder = Recorder::start().await;
    // The client gets its answer at once; how long the rest of its body is waited for is another matter.
    let limits = "[server]\nread_timeout = \"1s\"\n";
    let gateway = Gateway::start(Config::new(recorder.port, ROUTES).with(limits)).await;
    recorder.play_once(Script::after_head().send(OK));
    let mut client = Connection::open(gateway.port).await;
    client.send("POST /public/early HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100\r\n\r\nhello").await;
    let answers = client.rest().await;
    assert_eq!(statuses(&answers), [200], "{answers}");
    let answers = exchange_all(gateway.port, LAST).await;
    assert_eq!(statuses(&answers), [200], "{answers}");
    assert_eq!(recorder.connections(), 2);
    recorder.until(|recorder| recorder.ended() >= 1).await;
}

#[tokio::test]
async fn a_wrongly_framed_answer_is_a_bad_gateway_and_mixes_nothing_up() {
    let _case = case(
        "D25",
        "an answer with two lengths, a tunnel nobody asked for or bytes too many is no answer, and none of it reaches another request",
    );
    let recorder = Recorder::start().await;
    let mut config = Config::new(recorder.port, ROUTES);
    config.upstreams.push_str("read_timeout = \"1s\"\n");
    let gateway = Gateway::start(config).await;
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for (answer, allowed) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".to_owned(), &[502][..]),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello".to_owned(), &[502]),
        (
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n{evil}"
            ),
            &[502],
        ),
        (
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{evil}"
            ),
            &[200, 502],
        ),
        (format!("{OK}{evil}"), &[200]),
        (format!("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n{evil}"), &[204, 502]),
        (format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n{evil}"), &[304, 502]),
        (format!("{}{OK}", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(50)), &[200, 502]),
        ("HTTP/1.1 200 OK\nContent-Length: 2\n\nok".to_owned(), &[200, 502]),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello".to_owned(), &[200, 502]),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), &[502, 504]),
    ] {
        recorder.play_once(Script::after_body().send(&answer));
        let answers = exchange_all(gateway.port, format!("{}{LAST}", get("/public/odd"))).await;
        let statuses: Vec<_> = statuses(&answers).into_iter().filter(|status| *status != 103).collect();
        assert!(allowed.contains(&statuses[0]), "{answer:?}: {answers}");
        // Either the connection ended with the odd answer, or the next one is the next request's own.
        assert!(matches!(statuses[1..], [] | [200]), "{answer:?}: {answers}");
        assert!(statuses.len() == 1 || answers.ends_with("{\"ok\":true}"), "{answer:?}: {answers}");
        assert!(!answers.contains("evil"), "{answer:?}: {answers}");
        let after = gateway.get("/public/after").send().await.unwrap();
        assert_eq!(
            after.text().await.unwrap(),
            "{\"ok\":true}",
            "{answer:?}: the next request got what was left over"
        );
    }
    recorder.play_once(Script::after_body().send(OK));
    let head = format!("{}{LAST}", get("/public/head").replacen("GET", "HEAD", 1));
    let answers = exchange_all(gateway.port, head).await;
    assert_eq!(statuses(&answers), [200, 200], "{answers}");
    let (_, after) = answers.split_once("\r\n\r\n").unwrap();
    assert!(after.starts_with("HTTP/1.1 200"), "the answer to HEAD has a body: {answers}");
}
