//! Certificates for a gateway under test, and a client that can ask for anything in the handshake.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::raw::read_answer;
use super::{Gateway, free_port, secret};

/// What a gateway shows its clients: certificates of an authority between, which is of a root that the clients know.
pub(crate) struct Certificates {
    pub(crate) port: u16,
    /// Chain and key of each, as PEM.
    files: Vec<(String, String)>,
    pub(crate) root: CertificateDer<'static>,
}

impl Certificates {
    /// One for each list of names. A name that is an address stands as an address in it.
    pub(crate) fn of(names: &[&[&str]]) -> Self {
        let (root, root_key) = (authority("root"), KeyPair::generate().unwrap());
        let root_certificate = root.self_signed(&root_key).unwrap();
        let (between, between_key) = (authority("between"), KeyPair::generate().unwrap());
        let between_certificate =
            between.signed_by(&between_key, &Issuer::from_params(&root, &root_key)).unwrap();
        let issuer = Issuer::from_params(&between, &between_key);
        let files = names.iter().map(|names| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let key = KeyPair::generate().unwrap();
            let own = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
            (format!("{}{}", own.pem(), between_certificate.pem()), key.serialize_pem())
        });
        Self { port: free_port(), files: files.collect(), root: root_certificate.der().clone() }
    }

    /// The section of the config.
    pub(super) fn section(&self) -> String {
        let files = (0..self.files.len()).map(|n| format!("{{ chain = \"{n}.crt\", key = \"{n}.key\" }}"));
        let files = files.collect::<Vec<_>>().join(", ");
        format!("[tls]\nlisten = [\"127.0.0.1:{}\"]\ncertificate = [{files}]\n", self.port)
    }

    /// Writes the files that the section names.
    pub(crate) fn write(&self, folder: &Path) {
        for (n, (chain, key)) in self.files.iter().enumerate() {
            std::fs::write(folder.join(format!("{n}.crt")), chain).unwrap();
            let mut file = std::fs::OpenOptions::new();
            let file = file.write(true).create(true).truncate(true).mode(0o600);
            let mut file = file.open(folder.join(format!("{n}.key"))).unwrap();
            io::Write::write_all(&mut file, key.as_bytes()).unwrap();
            // No part of a key may be in a log.
            let _ = key.lines().filter(|line| line.len() > 40).map(secret).count();
        }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
}

/// What a client asks for in its handshake. The certificate it gets must be of the root and for `name`.
#[derive(Clone, Copy)]
pub(crate) struct Hello<'a> {
    name: &'a str,
    named: bool,
    alpn: &'a [&'a str],
    versions: &'a [&'static SupportedProtocolVersion],
}

impl<'a> Hello<'a> {
    /// For this host, with HTTP/1.1 and any version.
    pub(crate) const fn to(name: &'a str) -> Self {
        Self { name, named: true, alpn: &["http/1.1"], versions: rustls::ALL_VERSIONS }
    }

    /// Without naming the host.
    pub(crate) const fn unnamed(mut self) -> Self {
        self.named = false;
        self
    }

    pub(crate) const fn alpn(mut self, alpn: &'a [&'a str]) -> Self {
        self.alpn = alpn;
        self
    }

    pub(crate) const fn versions(mut self, versions: &'a [&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions;
        self
    }

    /// As rustls has it. Two handshakes with one config may resume.
    pub(crate) fn config(&self, root: &CertificateDer<'static>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(self.versions);
        let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config.enable_sni = self.named;
        config
    }
}

/// One connection over TLS.
pub(crate) struct TlsConnection {
    pub(crate) stream: TlsStream<TcpStream>,
}

impl TlsConnection {
    /// Shakes hands, or says why that failed.
    pub(crate) async fn open(gateway: &Gateway, hello: Hello<'_>) -> io::Result<Self> {
        let certificates = gateway.tls.as_ref().expect("the gateway listens for TLS");
        Self::open_with(certificates.port, hello.name, Arc::new(hello.config(&certificates.root))).await
    }

    pub(crate) async fn open_with(port: u16, name: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let handshake = TlsConnector::from(config).connect(name, socket);
        let stream =
            tokio::time::timeout(Duration::from_secs(30), handshake).await.expect("a handshake ends")?;
        Ok(Self { stream })
    }

    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.stream.get_ref().1.alpn_protocol()
    }

    /// Sends a request of HTTP/1 and reads its answer.
    pub(crate) async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(30), read_answer(&mut self.stream)).await;
        answer.unwrap_or_else(|_| panic!("no answer to {}", bytes.as_ref().escape_ascii()))
    }
}
