//! Group K: TLS.

use std::sync::Arc;

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{HandshakeKind, NamedGroup};

use super::case;
use crate::harness::hello::{ClientHello, HelloAnswer, record, say_hello};
use crate::harness::tls::{Hello, TlsConnection};
use crate::harness::{Gateway, h2};

const GET: &str = "GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n";

#[tokio::test]
async fn a_request_comes_over_the_connection_that_is_for_its_host() {
    let _case = case(
        "K01",
        "a request whose Host the connection's certificate is not for is refused with 421, also when a client \
         puts the requests of several hosts on one HTTP/2 connection",
    );
    let (gateway, recorder) = Gateway::with_tls_before_recorder().await;
    for (host, status) in [
        ("a.test", 200),
        ("x.a.test", 200),
        ("gw.test:8443", 200),
        ("b.test", 421),
        ("x.y.a.test", 421),
        ("127.0.0.1", 421),
    ] {
        let mut connection = TlsConnection::open(&gateway, Hello::to("a.test")).await.unwrap();
        let answer = connection.ask(GET.replace("gw.test", host)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
        assert_eq!(answer.contains("misdirected_request"), status == 421, "{host}: {answer}");
        let client = h2::Client::connect_to(&gateway, "a.test").await;
        let request = http::Request::builder().uri(format!("https://{host}/public/x")).body(()).unwrap();
        let answer = client.request(request, None, &[]).await.unwrap();
        assert_eq!(answer.status, status, "{host} over HTTP/2");
        let refused = answer.headers.get("x-wxgate-error").is_some_and(|code| code == "misdirected_request");
        assert_eq!(refused, status == 421, "{host} over HTTP/2");
    }
    let seen = recorder.seen();
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|seen| seen.one("x-forwarded-proto") == "https"));
}

#[tokio::test]
async fn a_certificate_is_chosen_by_the_name_in_its_one_spelling() {
    let _case = case(
        "K02",
        "the name in the handshake is compared in lower case and without a final dot; who names none, or an address, gets \
         the first certificate; a name that no certificate is for, and what is no name, ends the handshake",
    );
    let (gateway, _recorder) = Gateway::with_tls_before_recorder().await;
    let long = [b'a'; 300];
    for (name, shown) in [
        (Some(&b"b.test"[..]), Some("b.test")),
        (Some(b"B.TEST"), Some("b.test")),
        (Some(b"b.test."), Some("b.test")),
        (Some(b"gw.test"), Some("gw.test")),
        (Some(b"x.A.test"), Some("*.a.test")),
        (None, Some("gw.test")),
        (Some(b"127.0.0.1"), Some("gw.test")),
        (Some(b"nobody.test"), None),
        (Some(b"x.b.test"), None),
        (Some(b"x.y.a.test"), None),
        (Some(b".a.test"), None),
        (Some(b"b.test.."), None),
        (Some(b"b.test\0.a.test"), None),
        (Some(b""), None),
        (Some(&long), None),
    ] {
        let what = name.map(<[u8]>::escape_ascii);
        let answer =
            say_hello(gateway.tls_port(), [ClientHello { name, ..ClientHello::default() }.record()]).await;
        match shown {
            Some(shown) => assert!(answer.is_for(shown), "{what:?}"),
            None => assert!(matches!(answer, HelloAnswer::Alert(_)), "{what:?}: {answer:?}"),
        }
    }
    let unnamed = Hello::to("gw.test").unnamed();
    for (host, status) in [("gw.test", 200), ("b.test", 421)] {
        let mut connection = TlsConnection::open(&gateway, unnamed).await.unwrap();
        let answer = connection.ask(GET.replace("gw.test", host)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "unnamed, {host}: {answer}");
    }
}

#[tokio::test]
async fn a_hello_in_pieces_is_the_same_hello() {
    let _case = case(
        "K04",
        "a first message that comes a byte at a time, or cut over many TLS records, leads to the same certificate and to \
         the same refusal",
    );
    let (gateway, _recorder) = Gateway::with_tls_before_recorder().await;
    for (name, served) in [("b.test", true), ("nobody.test", false)] {
        let hello = ClientHello { name: Some(name.as_bytes()), ..ClientHello::default() };
        let records: Vec<_> = hello.message().chunks(3).map(record).collect();
        let bytes: Vec<_> = hello.record().iter().map(|byte| vec![*byte]).collect();
        for (what, pieces) in
            [("segments", bytes), ("records", records.clone()), ("one segment", vec![records.concat()])]
        {
            let answer = say_hello(gateway.tls_port(), pieces).await;
            assert_eq!(answer.is_for(name), served, "{name} in {what}");
            assert_eq!(answer == HelloAnswer::Alert(112), !served, "{name} in {what}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn old_versions_and_weak_ciphers_are_refused() {
    let _case = case(
        "K10",
        "TLS below 1.2 and ciphers without forward secrecy or authentication are refused; the certificates between ours \
         and its root are sent along, since mini programs do not look for them",
    );
    let (gateway, _recorder) = Gateway::with_tls_before_recorder().await;
    let modern = ClientHello { name: Some(b"gw.test"), ..ClientHello::default() };
    assert!(say_hello(gateway.tls_port(), [modern.record()]).await.is_for("gw.test"));
    for version in [0x0300, 0x0301, 0x0302] {
        let answer =
            say_hello(gateway.tls_port(), [ClientHello { version, ..modern.clone() }.record()]).await;
        assert!(matches!(answer, HelloAnswer::Alert(_)), "version {version:04x}: {answer:?}");
    }
    // RSA without exchange, CBC with ECDSA, CBC with RSA, 3DES, RC4, no cipher at all.
    for suite in [0x002f, 0xc009, 0xc013, 0x000a, 0x0005, 0x0000] {
        let answer =
            say_hello(gateway.tls_port(), [ClientHello { suites: &[suite], ..modern.clone() }.record()])
                .await;
        assert!(matches!(answer, HelloAnswer::Alert(_)), "suite {suite:04x}: {answer:?}");
    }
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let connection =
            TlsConnection::open(&gateway, Hello::to("gw.test").versions(versions)).await.unwrap();
        let chain = connection.stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(chain.len(), 2, "{versions:?}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_only_under_its_certificate() {
    let _case = case(
        "K07",
        "a session that was opened under one certificate is not resumed by a client that asks for a host of another: the \
         handshake is a full one, with the other certificate",
    );
    let (gateway, _recorder) = Gateway::with_tls_before_recorder().await;
    let root = &gateway.tls.as_ref().unwrap().root;
    for version in rustls::ALL_VERSIONS {
        let mut config = Hello::to("gw.test").versions(&[*version]).config(root);
        config.resumption = Resumption::store(Arc::new(AnyName::default()));
        let config = Arc::new(config);
        for (name, kind) in [
            ("gw.test", HandshakeKind::Full),
            ("gw.test", HandshakeKind::Resumed),
            ("b.test", HandshakeKind::Full),
        ] {
            let mut connection =
                TlsConnection::open_with(gateway.tls_port(), name, Arc::clone(&config)).await.unwrap();
            assert_eq!(connection.stream.get_ref().1.handshake_kind(), Some(kind), "{version:?} {name}");
            let answer = connection.ask(GET.replace("gw.test", name)).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{version:?} {name}: {answer}");
        }
    }
}

#[tokio::test]
async fn no_request_comes_before_the_handshake_is_done() {
    let _case = case(
        "K09",
        "early data, which anyone who recorded it can send once more, is not offered to a client that resumes",
    );
    let (gateway, _recorder) = Gateway::with_tls_before_recorder().await;
    let mut config = Hello::to("gw.test").config(&gateway.tls.as_ref().unwrap().root);
    config.enable_early_data = true;
    let config = Arc::new(config);
    let mut connection =
        TlsConnection::open_with(gateway.tls_port(), "gw.test", Arc::clone(&config)).await.unwrap();
    assert!(connection.ask(GET).await.starts_with("HTTP/1.1 200 "));
    let mut again =
        rustls::ClientConnection::new(Arc::clone(&config), "gw.test".try_into().unwrap()).unwrap();
    assert!(again.early_data().is_none());
    let again = TlsConnection::open_with(gateway.tls_port(), "gw.test", config).await.unwrap();
    assert_eq!(again.stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
}

/// A client's memory that offers every session to every host.
#[derive(Debug)]
struct AnyName(ClientSessionMemoryCache);

impl Default for AnyName {
    fn default() -> Self {
        Self(ClientSessionMemoryCache::new(16))
    }
}

fn any() -> ServerName<'static> {
    ServerName::try_from("any.test").unwrap()
}

impl ClientSessionStore for AnyName {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(any(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&any())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.0.set_tls12_session(any(), session);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&any())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&any());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(any(), ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&any())
    }
}
