//! Which certificate a client is shown, and which hosts it is for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::sign::SingleCertAndKey;

use crate::config::{Certificate, HostPattern};

/// The certificates in force. They can be exchanged while connections come in.
#[derive(Debug)]
pub(crate) struct Certificates(ArcSwap<Set>);

#[derive(Debug)]
struct Set {
    /// In the order of the config.
    served: Vec<Arc<Served>>,
    /// By the text of the pattern: `shop.example.com`, `*.example.com`.
    by_name: HashMap<String, usize>,
}

/// One certificate as it is served. Each has a TLS config of its own, so that no session is resumed under another.
#[derive(Debug)]
pub(crate) struct Served {
    names: Vec<HostPattern>,
    addresses: Vec<IpAddr>,
    pub(super) config: Arc<ServerConfig>,
}

impl Certificates {
    pub(crate) fn new(certificates: Vec<Certificate>) -> Self {
        Self(ArcSwap::from_pointee(Set::new(certificates)))
    }

    /// From now on handshakes are answered with these.
    pub(super) fn replace(&self, certificates: Vec<Certificate>) {
        self.0.store(Arc::new(Set::new(certificates)));
    }

    /// The certificate for a client that names `host` in its handshake, or names none and came to `local`.
    pub(super) fn choose(&self, host: Option<&str>, local: IpAddr) -> Option<Arc<Served>> {
        let set = self.0.load();
        let Some(host) = host else {
            // An address cannot be named in a handshake: who asks for one is served by where the connection came in.
            let for_address =
                set.served.iter().find(|served| served.addresses.contains(&local.to_canonical()));
            return for_address.or(set.served.first()).cloned();
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let exact = set.by_name.get(&host);
        let found = exact.or_else(|| set.by_name.get(&format!("*.{}", host.split_once('.')?.1)))?;
        set.served.get(*found).cloned()
    }
}

impl Set {
    fn new(certificates: Vec<Certificate>) -> Self {
        let by_name = certificates.iter().enumerate().flat_map(|(index, certificate)| {
            certificate.names.iter().map(move |name| (name.to_string(), index))
        });
        let by_name = by_name.collect();
        let served = certificates.into_iter().map(|certificate| Arc::new(Served::new(certificate))).collect();
        Self { served, by_name }
    }
}

impl Served {
    fn new(certificate: Certificate) -> Self {
        let resolver = Arc::new(SingleCertAndKey::from(certificate.key));
        // TLS 1.2 and 1.3, no early data, tickets and sessions as rustls has them.
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { names: certificate.names, addresses: certificate.addresses, config: Arc::new(config) }
    }

    /// Whether it is for `host`, which is lower-case and without a port.
    pub(super) fn is_for(&self, host: &str) -> bool {
        let named = self.names.iter().any(|name| match name {
            HostPattern::Exact(name) => name == host,
            HostPattern::Wildcard(below) => host.split_once('.').is_some_and(|(_, rest)| rest == below),
        });
        named || self.addresses.iter().any(|address| is_written(*address, host))
    }
}

/// Whether `host` is this address as a Host header has it.
fn is_written(address: IpAddr, host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.parse::<IpAddr>().is_ok_and(|host| host.to_canonical() == address)
}
