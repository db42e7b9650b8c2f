//! A WeChat behind TLS, with a certificate that is right or wrong in one thing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What is wrong with the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    Good,
    SelfSigned,
    WrongName,
    Expired,
    NotYetValid,
}

const USER: &str = r#"{"session_key":"tiihtNczf5v6AKRyjwEUhQ==","openid":"oGZUI0egBJY1zhBYw2KhdUfwVJJE"}"#;

/// Answers every question with one user, and keeps what was asked.
pub(crate) struct TlsWechat {
    port: u16,
    /// The authority that a client is to believe, in PEM.
    pub(crate) authority: PathBuf,
    connections: Arc<Mutex<usize>>,
    heard: Arc<Mutex<Vec<u8>>>,
    _folder: TempDir,
}

impl TlsWechat {
    pub(crate) async fn start(certificate: Certificate) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("authority.pem");
        let (config, pem) = server(certificate);
        std::fs::write(&authority, pem).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, heard) = (Arc::new(Mutex::new(0)), Arc::default());
        let (counted, kept) = (Arc::clone(&connections), Arc::clone(&heard));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *counted.lock().unwrap() += 1;
                tokio::spawn(serve(acceptor.clone(), stream, Arc::clone(&kept)));
            }
        });
        Self { port, authority, connections, heard, _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    /// Every byte that came through TLS.
    pub(crate) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

/// Ends with the connection, one way or the other.
async fn serve(acceptor: TlsAcceptor, stream: TcpStream, heard: Arc<Mutex<Vec<u8>>>) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        heard.lock().unwrap().extend_from_slice(&piece[..read]);
        if piece[..read].ends_with(b"\r\n\r\n") {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{USER}", USER.len());
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
        }
    }
}

/// A server's side, and the authority that signed it.
fn server(certificate: Certificate) -> (ServerConfig, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let authority = Issuer::new(authority, authority_key);

    let name = if certificate == Certificate::WrongName { "api.weixin.qq.com" } else { "127.0.0.1" };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    match certificate {
        Certificate::Expired => params.not_after = date_time_ymd(2020, 1, 1),
        Certificate::NotYetValid => params.not_before = date_time_ymd(2999, 1, 1),
        Certificate::Good | Certificate::SelfSigned | Certificate::WrongName => {}
    }
    let key = KeyPair::generate().unwrap();
    let signed = if certificate == Certificate::SelfSigned {
        params.self_signed(&key)
    } else {
        params.signed_by(&key, &authority)
    };
    let chain = vec![CertificateDer::from(signed.unwrap().der().to_vec())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (config.with_no_client_auth().with_single_cert(chain, key).unwrap(), authority_pem)
}
