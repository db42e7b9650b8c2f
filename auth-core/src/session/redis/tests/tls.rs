//! Redis over TLS, with a root of our own.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::ends::missed;
use super::servers::{Server, free_port, settings, store};
use crate::session::SessionStore;
use crate::session::tests::{NOW, session, sid};

fn root() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn tls_is_spoken_with_a_server_whose_root_is_trusted() {
    let (root, stranger) = (root(), root());
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &root).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let port = free_port();
    let _server = Server::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("cert.pem", certificate.pem()),
        "--tls-key-file",
        &file("key.pem", key.serialize_pem()),
        "--tls-ca-cert-file",
        &file("root.pem", root.pem()),
        "--tls-auth-clients",
        "no",
    ]);
    let mut trusting = settings(&format!("rediss://127.0.0.1:{port}"));
    trusting.root_certificates = Some(root.pem().into_bytes());
    let (one, two) = (store(&trusting, NOW), store(&trusting, NOW));
    let mut news = two.subscribe().unwrap();
    one.put(session(1)).await.unwrap();
    assert!(two.get(sid(1), NOW).await.unwrap().is_some());
    missed(&mut news).await;

    for roots in [None, Some(stranger.pem().into_bytes())] {
        let mut doubting = settings(&format!("rediss://127.0.0.1:{port}"));
        doubting.root_certificates = roots;
        let why = store(&doubting, NOW).put(session(2)).await.unwrap_err().to_string();
        assert!(why.contains("out of reach"), "{why}");
    }
    let mut wrong = settings(&format!("rediss://127.0.0.1:{port}"));
    wrong.root_certificates = Some(b"no certificate".to_vec());
    let clock = std::sync::Arc::new(crate::ManualClock::at(NOW));
    assert!(super::super::RedisStore::open(&wrong, super::servers::seal(), clock).is_err());
}
