//! `wxgate dev`: simulator, echo service and gateway in one process, on loopback, with keys and apps of its own.

mod guide;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use auth_core::SystemClock;
use auth_core::keys::{Algorithm, generate};
use secrecy::{ExposeSecret, SecretSlice};
use tokio::net::TcpListener;

use crate::config::{self, Checked, Mode, ServerAddress};
use crate::sim::{self, Settings, SimApp};
use crate::{logging, server};

/// What `config/dev.toml` of the repository says: the program carries it along.
const CONFIG: &str = include_str!("../../config/dev.toml");

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Port of the gateway
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of the private listener: health, metrics, sessions, session data
    #[arg(long, default_value_t = 9090)]
    admin_port: u16,
    /// Port of the WeChat simulator
    #[arg(long, default_value_t = 9100)]
    sim_port: u16,
    /// Port of the echo service
    #[arg(long, default_value_t = 9101)]
    echo_port: u16,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut config = config::load_text("config/dev.toml", CONFIG, Mode::Dev)
        .map_err(|mistakes| anyhow::anyhow!("{mistakes}"))?;
    adapt(&mut config, arguments);
    logging::start(config.log.format, &config.log.level)?;
    let settings = Settings::new(apps(&config), Arc::new(SystemClock));
    let guide = guide::text(arguments, &config);
    let gateway =
        server::prepare(config, server::Origin::BuiltIn).context("try other ports: `wxgate dev --help`")?;
    serve_beside(arguments, settings)?;
    std::io::stdout().write_all(guide.as_bytes())?;
    gateway.run();
    Ok(ExitCode::SUCCESS)
}

/// The ports that were asked for, and a key that nobody else has: the one in the file is public.
fn adapt(config: &mut Checked, arguments: &Arguments) {
    config.server.listen = vec![local(arguments.port)];
    config.admin.listen = local(arguments.admin_port);
    config.wechat.base_urls = vec![format!("http://{}", local(arguments.sim_port))];
    for upstream in &mut config.upstreams {
        upstream.servers = vec![ServerAddress::Ip(local(arguments.echo_port))];
    }
    for key in &mut config.token.keys {
        let fresh = generate(Algorithm::Hs256);
        key.material = SecretSlice::from(fresh.expose_secret().as_bytes().to_vec());
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The simulator knows the apps that the gateway knows. One Open Platform account gives their users a unionid.
fn apps(config: &Checked) -> Vec<SimApp> {
    let app = |app: &config::App| SimApp {
        appid: app.wechat.appid.clone(),
        secret: app.wechat.secret.clone(),
        open_platform: Some("dev".to_owned()),
    };
    config.apps.iter().map(app).collect()
}

/// Simulator and echo service on a thread of their own, until the process ends.
fn serve_beside(arguments: &Arguments, settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let bind = |port| {
        let bound = runtime.block_on(TcpListener::bind(local(port)));
        bound.with_context(|| format!("port {port} cannot be opened; try other ports: `wxgate dev --help`"))
    };
    let (simulator, echo) = (bind(arguments.sim_port)?, bind(arguments.echo_port)?);
    thread::Builder::new().name("dev services".to_owned()).spawn(move || {
        runtime.block_on(async {
            let never = std::future::pending;
            let (simulator, echo) =
                tokio::join!(sim::serve(simulator, settings, never()), sim::serve_echo(echo, never()));
            tracing::error!(?simulator, ?echo, "the simulator or the echo service ended");
        });
    })?;
    Ok(())
}
