//! The operator's log: what happens to the process, on standard error. Requests have their own lines, on standard output.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::LogFormat;

/// Starts logging. `level` is a filter such as `info` or `wxgate=debug`.
pub(crate) fn start(format: LogFormat, level: &str) -> anyhow::Result<()> {
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let filter: EnvFilter = level.parse().with_context(|| format!("`{level}` is no log filter"))?;
    // Who used the private listener is told whatever the level.
    let filter = filter.add_directive("wxgate::audit=info".parse()?);
    let colours = std::io::stderr().is_terminal();
    let layer = if json {
        fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed()
    } else {
        fmt::layer().with_ansi(colours).with_writer(std::io::stderr).boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).with(no_secrets()).try_init()?;
    // The `log` records of libraries, pingora's foremost, pass `no_secrets` from WARN up. Said to `log` itself, the rest
    // costs a comparison each; asked of the subscriber, the 23 of one proxied request cost 5 % of it.
    log::set_max_level(log::LevelFilter::Warn);
    Ok(())
}

/// What no level can turn on. pingora writes whole request heads, tokens included, into its error lines; it and the
/// HTTP client's crates write headers and URLs, AppSecrets included, into their debug lines.
fn no_secrets() -> Targets {
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("wxgate", LevelFilter::TRACE)
        .with_target("auth_core", LevelFilter::TRACE)
        .with_target("pingora_proxy", LevelFilter::OFF)
}
