//! The floor that `benches/cost.sh` measures against: pingora passing requests through, and nothing else.
//!
//! Tuned as the gateway is: the same allocator and profile, no compression module, one prebuilt peer, a small read
//! buffer, the same pool. What it has not: a route, a token, a header, a log line, a metric.
//!
//! `bare_pingora LISTEN UPSTREAM [--timeouts]`; `--timeouts` adds the gateway's time-outs, to tell what pingora takes
//! for those.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::modules::http::HttpModules;
use pingora::proxy::{ProxyHttp, Session, http_proxy};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::services::listening::Service;
use pingora::upstreams::peer::HttpPeer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Bare {
    peer: HttpPeer,
    timeouts: bool,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, _context: &mut ()) -> pingora::Result<bool> {
        if session.get_keepalive().is_some() {
            session.set_keepalive(Some(75));
        }
        if self.timeouts {
            session.set_read_timeout(Some(Duration::from_secs(30)));
            session.set_write_timeout(Some(Duration::from_secs(60)));
        }
        Ok(false)
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _context: &mut (),
    ) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(self.peer.clone()))
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, listen, upstream, rest @ ..] = &arguments[..] else {
        anyhow::bail!("bare_pingora LISTEN UPSTREAM [--timeouts]");
    };
    let upstream: SocketAddr = upstream.parse().context("UPSTREAM is an address")?;
    let timeouts = rest.iter().any(|argument| argument == "--timeouts");
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS crypto provider was installed before"))?;

    let mut peer = HttpPeer::new(upstream, false, String::new());
    if timeouts {
        peer.options.connection_timeout = Some(Duration::from_secs(2));
        peer.options.total_connection_timeout = Some(Duration::from_secs(2));
        peer.options.read_timeout = Some(Duration::from_secs(60));
        peer.options.write_timeout = Some(Duration::from_secs(60));
        peer.options.idle_timeout = Some(Duration::from_secs(55));
    }
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 1024, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let app = http_proxy(&server.configuration, Bare { peer, timeouts });
    let mut service = Service::new("bare".to_owned(), app);
    service.add_listener(
        ListenerConfig::tcp(listen.clone()).l4_buffer(L4BufferSettings::default().read(4 * 1024)),
    );
    server.add_service(service);
    server.run_forever()
}
