//! `wxgate sim`: the WeChat simulator by itself.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use auth_core::{AppId, AppSecret, SystemClock};

use crate::sim::{self, Settings, SimApp};

#[derive(Debug, clap::Args)]
pub(super) struct Sim {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
    /// A mini program: appid, AppSecret and, for a unionid, the name of an Open Platform account. Give it once for each app
    #[arg(long = "app", value_name = "APPID:SECRET[:PLATFORM]", default_value = sim::DEFAULT_APP, value_parser = parse_app)]
    apps: Vec<SimApp>,
}

impl Sim {
    pub(super) fn execute(&self) -> anyhow::Result<()> {
        let settings = Settings::new(self.apps.clone(), Arc::new(SystemClock));
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(self.listen).await;
            let listener = listener.with_context(|| format!("{} cannot be opened", self.listen))?;
            let address = listener.local_addr()?;
            super::say(&format!(
                "the WeChat simulator is listening on http://{address}\n{}",
                usage(address, &self.apps)
            ))?;
            let ended = async { drop(tokio::signal::ctrl_c().await) };
            Ok(sim::serve(listener, settings, ended).await?)
        })
    }
}

/// The first line that everybody needs.
fn usage(address: SocketAddr, apps: &[SimApp]) -> String {
    let appid = apps.first().map_or("", |app| app.appid.as_str());
    format!("get a code:  curl -s -X POST http://{address}/_sim/codes -d user=alice -d appid={appid}\n")
}

fn parse_app(text: &str) -> Result<SimApp, String> {
    let mut parts = text.splitn(3, ':');
    let appid = AppId::parse(parts.next().unwrap_or("")).map_err(|error| error.to_string())?;
    let secret = AppSecret::new(parts.next().unwrap_or("").to_owned()).ok_or("the AppSecret is missing")?;
    Ok(SimApp { appid, secret, open_platform: parts.next().map(str::to_owned) })
}
