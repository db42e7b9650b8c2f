//! Listeners, start-up order, and a graceful end.

mod background;
mod reload;
mod shutdown;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use auth_core::SystemClock;
use pingora::apps::HttpServerOptions;
use pingora::listeners::{L4BufferSettings, ListenerConfig, TcpSocketOptions};
use pingora::protocols::TcpKeepalive;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use prometheus_client::registry::Registry;

use crate::admin::store_health::StoreHealth;
use crate::admin::{self, Admin, AdminState};
use crate::config::{self, Checked, Fingerprint};
use crate::connection::{Admission, Certificates, Connections, Limits, Patience, Transport, Unstalled};
use crate::context::RequestIds;
use crate::front::HeadLimits;
use crate::in_flight::InFlight;
use crate::live::Live;
use crate::metrics::ConnectionMetrics;
use crate::proxy::Proxy;
use crate::snapshot::{Lasting, Snapshot};
use crate::steps::log::{AccessLog, Style};

/// A kept-alive connection waits with a read buffer of this size: pingora's own choice is 64 KiB, and most of what an idle
/// connection would cost.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// A gateway that has taken its ports and opened its store, and carries no traffic yet.
pub(crate) struct Gateway {
    server: Server,
    end: shutdown::End,
}

/// Where the config comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A file, which may change while the gateway runs.
    File(PathBuf, Fingerprint),
    /// The program itself.
    BuiltIn,
}

/// Runs the gateway until it is told to end. Everything that can fail fails before this returns `Ok`.
pub(crate) fn prepare(mut config: Checked, origin: Origin) -> anyhow::Result<Gateway> {
    install_crypto_provider()?;
    let mut registry = Registry::default();
    let (workers, access_style) =
        (config.server.workers, config.log.access.then(|| Style::of(config.log.format)));
    let (delay, timeout) = (config.server.drain_delay, config.server.drain_timeout);
    let admin_listener = admin::bind(config.admin.listen).with_context(|| {
        format!("the private listener {} (admin.listen) cannot be opened", config.admin.listen)
    })?;
    let admin_on_loopback = config.admin.listen.ip().is_loopback();
    let public: Vec<_> = config.server.listen.iter().chain(&config.tls.listen).copied().collect();
    public.iter().try_for_each(|address| check_free(*address))?;
    let (server_conf, fixed) = (server_conf(&config), reload::Fixed::of(&config));
    let transport = Arc::new(transport(&mut config, &mut registry));
    open_files(config.server.connections_max);
    let idle = Idle::of(&config);
    let lasting = Arc::new(Lasting::open(&config.store, Arc::new(SystemClock), &mut registry)?);
    let live = Live::new(Snapshot::build(config, &lasting, None)?);
    let access_log = match access_style {
        Some(style) => Some(Arc::new(AccessLog::start(style, lasting.metrics.log_lines_dropped.clone())?)),
        None => None,
    };
    let (draining, leaving, in_flight) = (Arc::default(), Arc::default(), InFlight::default());

    let mut server = Server::new_with_opt_and_conf(None, server_conf);
    server.bootstrap();
    let proxy = Proxy {
        live: live.clone(),
        access_log: access_log.clone(),
        request_ids: RequestIds::new(),
        in_flight: in_flight.clone(),
        draining: Arc::clone(&draining),
        leaving: Arc::clone(&leaving),
    };
    let mut service = public_service(&server, proxy, Arc::clone(&transport), &idle);
    service.threads = Some(workers);
    for address in public {
        service.add_listener(listener(address));
    }
    server.add_service(service);
    let state = AdminState {
        live: live.clone(),
        registry: Arc::new(registry),
        draining: Arc::clone(&draining),
        store: StoreHealth::of(Arc::clone(&lasting.store)),
        on_loopback: admin_on_loopback,
    };
    server.add_service(background_service("admin", Admin { listener: admin_listener, state }));
    server.add_service(background_service("upkeep", background::Upkeep { live: live.clone() }));
    server.add_service(background_service("other nodes", background::Follow(live.clone())));
    if let Some(access_log) = &access_log {
        server.add_service(background_service("access log", background::Flush(Arc::clone(access_log))));
    }
    background::first_look(&live.snapshot())?;
    if let Origin::File(path, fingerprint) = origin {
        reload::take_hangups()?;
        let (live, read, in_force) = (live.clone(), Mutex::new(fingerprint), AtomicBool::new(true));
        let reload = reload::Reload { path, fixed, live, lasting, transport, read, in_force };
        server.add_service(background_service("reload", reload));
    }
    let last = shutdown::Last { live, access_log };
    let end = shutdown::End { draining, leaving, in_flight, last, delay, timeout };
    Ok(Gateway { server, end })
}

impl Gateway {
    /// Carries traffic until a signal ends it.
    pub(crate) fn run(self) {
        self.server.run(RunArgs { shutdown_signal: Box::new(self.end) });
    }
}

/// rustls serves both pingora and the client for WeChat's API, and must be told its provider before either.
pub(crate) fn install_crypto_provider() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS crypto provider was installed before"))
}

/// pingora tries a taken port for half a minute, and then panics.
fn check_free(address: SocketAddr) -> anyhow::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    let bound = socket.bind(&address.into()).and_then(|()| socket.listen(1));
    bound.with_context(|| format!("the listener {address} (of server.listen or tls.listen) cannot be opened"))
}

fn server_conf(config: &Checked) -> ServerConf {
    ServerConf {
        threads: config.server.workers,
        // pingora counts connections for each worker.
        upstream_keepalive_pool_size: config.server.upstream_pool.div_ceil(config.server.workers),
        // The end is ours: `shutdown.rs` ends the process once the last request has, well before pingora would.
        grace_period_seconds: Some(config.server.drain_timeout.as_secs() + 10),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

fn transport(config: &mut Checked, registry: &mut Registry) -> Transport {
    let metrics = ConnectionMetrics::new(registry);
    Transport {
        tls: config.tls.listen.clone(),
        certificates: Certificates::new(std::mem::take(&mut config.tls.certificates)),
        admission: Admission::new(limits(&config.server), metrics.clone()),
        patience: ArcSwap::from_pointee(patience(&config.server)),
        metrics,
    }
}

fn limits(server: &config::Server) -> Limits {
    Limits {
        all: server.connections_max,
        per_address: server.connections_per_address_max,
        exempt: server.trusted_proxies.clone(),
    }
}

fn patience(server: &config::Server) -> Patience {
    let head = HeadLimits { timeout: server.header_timeout, bytes_max: server.header_bytes_max };
    Patience { head, write_timeout: server.write_timeout }
}

/// A connection of a client may need a second one, to a service. Systems start programs with a limit of 1024 and let them
/// raise it.
fn open_files(connections_max: usize) {
    let wanted = connections_max.saturating_mul(2);
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit >= wanted as u64 => {}
        Ok(limit) => tracing::warn!(
            limit,
            wanted,
            "the limit of open files is below twice server.connections_max: raise it (LimitNOFILE, ulimit -n), or lower \
             server.connections_max"
        ),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

type PublicService = Service<Connections<Unstalled<HttpProxy<Proxy>>>>;

/// How long clients of HTTP/2 may do nothing.
struct Idle {
    /// On a connection without a request.
    idle: Duration,
    /// In the middle of a body.
    stalled: Duration,
}

impl Idle {
    fn of(config: &Checked) -> Self {
        let services = config.upstreams.iter().map(|service| service.read_timeout.max(service.write_timeout));
        let stalled = config.server.read_timeout + services.max().unwrap_or_default();
        Self { idle: config.server.keepalive_timeout, stalled }
    }
}

fn public_service(
    server: &Server,
    proxy: Proxy,
    transport: Arc<Transport>,
    patience: &Idle,
) -> PublicService {
    let mut app = http_proxy(&server.configuration, proxy);
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(patience.idle);
    app.server_options = Some(options);
    let app = Arc::new(Unstalled { app: Arc::new(app), limit: patience.stalled });
    Service::new("public".to_owned(), Connections { app, transport })
}

fn listener(address: SocketAddr) -> ListenerConfig {
    let mut options = TcpSocketOptions::default();
    // A client that vanished without a word is noticed after about a minute and a half.
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 3,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    });
    ListenerConfig::tcp(address.to_string())
        .tcp_socket_options(options)
        .l4_buffer(L4BufferSettings::default().read(READ_BUFFER_BYTES))
}
