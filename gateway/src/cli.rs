//! Arguments → config → server; exit codes.

mod explain;
mod keygen;
mod sessions;
mod sim;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{self, Mode};
use crate::{dev, logging, server};

/// `EX_CONFIG` of sysexits: something in a config is wrong, and trying again will not help.
const EXIT_CONFIG: u8 = 78;

/// The gateway that makes any HTTP service a WeChat Mini Program backend.
#[derive(Debug, Parser)]
#[command(name = "wxgate", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Run(ConfigPath),
    /// Check a config and say everything that is wrong with it; exit 78 if anything is
    Check(ConfigPath),
    /// Say which route a request takes, what the verdict is, and why
    Explain(explain::Explain),
    /// Make a new key or credential
    Keygen(keygen::Keygen),
    /// See and end the sessions of users, at a running gateway
    Sessions(sessions::Sessions),
    /// Print the JSON Schema of the config file
    Schema {
        /// Print the config reference in Markdown instead, in this language
        #[arg(long, value_name = "en|zh")]
        reference: Option<String>,
    },
    /// Run a WeChat simulator: log in with no WeChat account
    Sim(sim::Sim),
    /// Run gateway, simulator and an echo service together, to try everything in a minute
    Dev(dev::Arguments),
    /// Print the version
    Version,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigPath {
    /// The config file
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "/etc/wxgate/wxgate.toml",
        env = "WXGATE_CONFIG"
    )]
    config: PathBuf,
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "wxgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(path) => return run_gateway(&path),
        Command::Check(path) => return check(&path),
        Command::Explain(explain) => return explain.execute(),
        Command::Keygen(keygen) => keygen.execute()?,
        Command::Sessions(sessions) => return sessions.execute(),
        Command::Schema { reference } => say(&schema(reference.as_deref())?)?,
        Command::Sim(sim) => sim.execute()?,
        Command::Dev(arguments) => return dev::run(&arguments),
        Command::Version => say(&format!("wxgate {}\n", env!("CARGO_PKG_VERSION")))?,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "wxgate", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_gateway(path: &ConfigPath) -> anyhow::Result<ExitCode> {
    let (loaded, fingerprint) = config::load_noting(&path.config);
    let config = match loaded {
        Ok(config) => config,
        Err(mistakes) => return refuse(&mistakes),
    };
    logging::start(config.log.format, &config.log.level)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let (listen, tls) = (config.server.listen.clone(), config.tls.listen.clone());
    let (admin, routes) = (config.admin.listen, config.routes.len());
    let origin = server::Origin::File(path.config.clone(), fingerprint);
    let gateway = server::prepare(config, origin)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?listen, ?tls, %admin, routes, "wxgate starts");
    gateway.run();
    Ok(ExitCode::SUCCESS)
}

fn check(path: &ConfigPath) -> anyhow::Result<ExitCode> {
    match config::load(&path.config, Mode::Normal) {
        Ok(config) => {
            for warning in &config.warnings {
                writeln!(std::io::stderr(), "warning: {warning}")?;
            }
            let (routes, upstreams, apps) = (config.routes.len(), config.upstreams.len(), config.apps.len());
            say(&format!(
                "{}: ok ({routes} routes, {upstreams} upstreams, {apps} apps)\n",
                path.config.display()
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(mistakes) => refuse(&mistakes),
    }
}

/// Says everything that is wrong with a config; nothing was started.
fn refuse(mistakes: &config::Mistakes) -> anyhow::Result<ExitCode> {
    write!(std::io::stderr(), "{mistakes}")?;
    Ok(ExitCode::from(EXIT_CONFIG))
}

fn schema(reference: Option<&str>) -> anyhow::Result<String> {
    match reference {
        None => Ok(serde_json::to_string_pretty(&config::schema()).context("the schema is JSON")? + "\n"),
        Some("en") => Ok(config::reference_markdown()),
        Some("zh") => Ok(config::reference_markdown_chinese()),
        Some(other) => anyhow::bail!("there is no reference in `{other}`: take en or zh"),
    }
}

/// Writes to standard output. A reader that went away, such as `head`, is no error.
fn say(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
