//! Group N: responses, retries, pools.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::case;
use crate::harness::{Config, Connection, Gateway, Recorder, SHOP, exchange, free_port, gateway};

#[tokio::test]
async fn no_answer_is_given_twice() {
    let _keys = case(
        "N01",
        "an answer that calls itself public and fresh for a year is asked for again for another host, method or query, \
         and for the same: the gateway keeps no answers",
    );
    let _users = case(
        "N02",
        "two users who ask for the same path have each their own answer, made for their own openid",
    );
    let _private =
        case("N03", "what is private, varies, sets a cookie or answers a token is kept for nobody");
    let (gateway, recorder) = Gateway::before_recorder().await;
    let (alice, bob) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "bob").await);
    for (n, lines) in [
        "Cache-Control: public, max-age=31536000, immutable\r\nETag: \"a\"",
        "Expires: Thu, 01 Jan 2099 00:00:00 GMT\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT",
        "Cache-Control: private, max-age=600\r\nVary: Authorization",
        "Cache-Control: s-maxage=600\r\nSet-Cookie: sid=1",
    ]
    .into_iter()
    .enumerate()
    {
        for (m, request) in [
            "GET /public/x HTTP/1.1\r\nHost: one.test\r\n",
            "GET /public/x HTTP/1.1\r\nHost: one.test\r\n",
            "GET /public/x HTTP/1.1\r\nHost: two.test\r\n",
            "GET /public/x?q=1 HTTP/1.1\r\nHost: one.test\r\n",
            "POST /public/x HTTP/1.1\r\nHost: one.test\r\nContent-Length: 0\r\n",
            "GET /api/x HTTP/1.1\r\nHost: one.test\r\nAuthorization: Bearer ALICE\r\n",
            "GET /api/x HTTP/1.1\r\nHost: one.test\r\nAuthorization: Bearer BOB\r\n",
            "GET /api/x HTTP/1.1\r\nHost: one.test\r\nAuthorization: Bearer ALICE\r\n",
            "GET /opt/x HTTP/1.1\r\nHost: one.test\r\nAuthorization: Bearer BOB\r\n",
            "GET /opt/x HTTP/1.1\r\nHost: one.test\r\n",
        ]
        .into_iter()
        .enumerate()
        {
            let own = format!("answer-{n}-{m}");
            recorder.answer_with(format!(
                "HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: {}\r\n\r\n{own}",
                own.len()
            ));
            let seen = recorder.seen().len();
            let request = request.replace("ALICE", &alice).replace("BOB", &bob);
            let answer = exchange(gateway.port, format!("{request}\r\n")).await;
            assert!(answer.ends_with(&own), "{request}: {answer}");
            assert_eq!(recorder.seen().len(), seen + 1, "{request}");
        }
    }
    let openids = recorder.seen();
    let openids: std::collections::BTreeSet<_> =
        openids.iter().flat_map(|seen| seen.all("x-wx-openid")).collect();
    assert_eq!(openids.len(), 2);
}

#[tokio::test]
async fn a_refusal_is_never_stored_and_says_how_to_authenticate() {
    let _case =
        case("N04", "a stored 401 would answer the next user: refusals are no-store and name the scheme");
    let (gateway, _recorder) = Gateway::before_recorder().await;
    for (path, status) in [("/api/x", 401), ("/internal/x", 403)] {
        let answer = gateway.get(path).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401, "{path}");
    }
}

/// What one user could leave behind for the next.
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

#[tokio::test]
async fn a_connection_to_a_service_that_is_not_clean_is_not_used_again() {
    let _case = case(
        "N05",
        "bytes after an answer, an answer that its client did not take to its end, a body that the service did not \
         read, a CONNECT: the connection to the service carries no other request",
    );
    let (gateway, recorder) = Gateway::before_recorder().await;
    for (method, first) in [
        ("GET", format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{POISON}")),
        ("GET", format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{POISON}")),
        ("GET", format!("HTTP/1.1 204 No Content\r\n\r\n{POISON}")),
        ("GET", format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{POISON}")),
    ] {
        // On a fresh connection, and on one that served well before.
        for warm in [false, true] {
            recorder.answer_with("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwarm");
            let mut client = Connection::open(gateway.port).await;
            if warm {
                client.ask("GET /public/warm HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
            }
            recorder.answer_with(&first);
            let answer =
                exchange(gateway.port, format!("{method} /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n")).await;
            assert!(!answer.contains("poison"), "{first:?}: {answer}");
            recorder.answer_with("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
            for _ in 0..3 {
                let next = exchange(gateway.port, "GET /public/next HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
                assert!(
                    next.starts_with("HTTP/1.1 200") && next.ends_with("\r\n\r\nnext"),
                    "{first:?}: {next}"
                );
            }
        }
    }
    let seen = recorder.seen().len();
    let connect = exchange(gateway.port, "CONNECT gw.test:443 HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
    assert!(connect.starts_with("HTTP/1.1 4"), "{connect}");
    assert_eq!(recorder.seen().len(), seen);
}

/// Reads a head from the gateway.
async fn head_of(service: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(service.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_connection_with_half_an_exchange_on_it_is_closed() {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = service.local_addr().unwrap().port();
    let gateway = Gateway::start(Config::new(port, gateway::ROUTES)).await;
    let with_more = |answer: &str| format!("{answer}{POISON}");
    let get = "GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n";
    for (request, answer) in [
        // More than its answer.
        (get, with_more("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhalf").as_str()),
        (get, &with_more("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n")),
        (get, &with_more("HTTP/1.1 204 No Content\r\nX-A: half\r\n\r\n")),
        (get, &with_more("HTTP/1.1 304 Not Modified\r\nX-A: half\r\n\r\n")),
        (
            "HEAD /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n",
            &with_more("HTTP/1.1 200 OK\r\nX-A: half\r\nContent-Length: 6\r\n\r\n"),
        ),
        // The client goes away in the middle of its answer. (Less of one with a length would wait in a buffer.)
        (
            "GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n",
            &format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf{}", "x".repeat(100_000)),
        ),
        (
            "GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ),
        // The service answers and does not wait for the body; the client never sends the rest of it.
        (
            "POST /public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 1000\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhalf",
        ),
        (
            "POST /public/x HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nhalf",
        ),
    ] {
        let mut client = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let (mut first, _) = service.accept().await.unwrap();
        head_of(&mut first).await;
        first.write_all(answer.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        while !got.windows(4).any(|bytes| bytes == b"half") {
            got.push(client.read_u8().await.unwrap());
        }
        drop(client);
        // The end of it, or a reset; but no other request.
        let mut rest = Vec::new();
        let _ = first.read_to_end(&mut rest).await;
        assert!(!rest.windows(5).any(|bytes| bytes == b"HTTP/"), "{request:?}: {}", rest.escape_ascii());
        let next = tokio::spawn(exchange(gateway.port, "GET /public/next HTTP/1.1\r\nHost: gw.test\r\n\r\n"));
        let (mut second, _) = service.accept().await.unwrap();
        assert!(head_of(&mut second).await.starts_with("GET /public/next "));
        second
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnext")
            .await
            .unwrap();
        assert!(next.await.unwrap().ends_with("next"), "{request:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_refused_on_its_way_is_never_a_complete_request() {
    let _case = case(
        "N06",
        "a body that turns out to be over the limit after some of it was passed on: the service sees a request broken \
         off, never one that ends well with less of a body, or with none",
    );
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = service.local_addr().unwrap().port();
    let routes = format!(
        "{}\n[[route]]\npath = \"/small/*\"\nupstream = \"service\"\nauth = \"none\"\nbody_bytes_max = \"1KiB\"\n",
        gateway::ROUTES
    );
    let gateway = Gateway::start(Config::new(port, &routes)).await;
    let chunk = format!("200\r\n{}\r\n", "a".repeat(512));
    let mut client = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    let head = "POST /small/x HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(format!("{head}{chunk}").as_bytes()).await.unwrap();
    let (mut upstream, _) = service.accept().await.unwrap();
    let head = head_of(&mut upstream).await.to_ascii_lowercase();
    assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
    let mut begun = vec![0; chunk.len()];
    upstream.read_exact(&mut begun).await.unwrap();
    client.write_all(format!("{chunk}{chunk}0\r\n\r\n").as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let _ = upstream.read_to_end(&mut rest).await;
    assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() <= chunk.len(), "{}", rest.escape_ascii());
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", answer.escape_ascii());
}

#[tokio::test]
async fn a_body_arrives_whole_or_not_at_all() {
    let _case = case(
        "N07",
        "a POST of 100 KiB whose first server takes no connection arrives at the next byte for byte; one whose server \
         breaks off in the middle is 502 and is not sent to another",
    );
    let body: Vec<u8> = (0..100 * 1024_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let recorder = Recorder::start().await;
    let breaking = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let breaking_port = breaking.local_addr().unwrap().port();
    // Reads some of each request, and resets.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = breaking.accept().await {
            let _ = stream.read_exact(&mut [0; 10 * 1024]).await;
        }
    });
    let mut config = Config::new(
        recorder.port,
        "[[route]]\npath = \"/dead/*\"\nupstream = \"dead\"\nauth = \"none\"\n[[route]]\npath = \"/breaking/*\"\nupstream = \"breaking\"\nauth = \"none\"\n[[route]]\npath = \"/x\"\nupstream = \"service\"\n",
    );
    config.upstreams.push_str(&format!(
        "[upstream.dead]\nservers = [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]\n[upstream.breaking]\nservers = [\"127.0.0.1:{breaking_port}\", \"127.0.0.1:{}\"]\n",
        free_port(),
        recorder.port,
        recorder.port
    ));
    let gateway = Gateway::start(config).await;
    for n in 0..10 {
        let answer = gateway.post("/dead/x").body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{n}");
        assert!(recorder.last().body == body, "{n}: not the body that was sent");
    }
    let (mut passed, mut failed) = (0, 0);
    for n in 0..10 {
        let seen = recorder.seen().len();
        let answer = gateway.post("/breaking/x").body(body.clone()).send().await.unwrap();
        match answer.status().as_u16() {
            200 => passed += 1,
            502 => failed += 1,
            other => panic!("{n}: {other}"),
        }
        let arrived = recorder.seen().len() - seen;
        assert_eq!(arrived, usize::from(answer.status() == 200), "{n}: sent to a second server");
        assert!(recorder.last().body == body, "{n}");
    }
    assert!(passed > 0 && failed > 0, "{passed} {failed}");
}

#[tokio::test]
async fn what_a_service_says_of_places_and_cookies_stays_as_it_is() {
    let _case = case(
        "N10",
        "Location, Refresh and Set-Cookie of a service pass unchanged, with their hosts, domains and order",
    );
    let (gateway, recorder) = Gateway::before_recorder().await;
    let lines = [
        "location: http://10.0.0.9:3000/internal/next?a=b#c",
        "content-location: //svc.internal/x",
        "refresh: 5; url=http://svc.internal/",
        "set-cookie: a=1; Domain=svc.internal; Path=/x; Secure; HttpOnly; SameSite=None",
        "set-cookie: __Host-b=2; Path=/; Secure",
        "link: <http://svc.internal/y>; rel=next",
    ];
    for status in ["200 OK", "302 Found", "201 Created"] {
        recorder
            .answer_with(format!("HTTP/1.1 {status}\r\n{}\r\nContent-Length: 0\r\n\r\n", lines.join("\r\n")));
        let answer = exchange(gateway.port, "GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        let passed: Vec<_> = answer
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| format!("{}: {value}", name.to_ascii_lowercase()))
            .collect();
        for line in lines {
            assert_eq!(passed.iter().filter(|passed| *passed == line).count(), 1, "{line}: {answer}");
        }
        let cookies: Vec<_> = passed.iter().filter(|line| line.starts_with("set-cookie")).collect();
        assert_eq!(cookies, [lines[3], lines[4]], "{answer}");
    }
}
