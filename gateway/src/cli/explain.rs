//! `wxgate explain`: the way of a request, without sending it.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use auth_core::SystemClock;
use auth_core::revocation::Revocations;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, Uri};

use crate::config::{self, Auth, Checked, Mode, Route};
use crate::denied::Denied;
use crate::snapshot::{key_ring, verifier};
use crate::steps::authenticate::{TokenSources, authenticate};
use crate::steps::policy::permit;
use crate::steps::route::{Destination, Router};
use crate::target::canonical;

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The method
    method: Method,
    /// The URL as the client writes it, such as `https://shop.example.com/order/1`, or a path
    url: String,
    /// A login token, to see what becomes of it
    #[arg(long)]
    token: Option<String>,
    #[command(flatten)]
    config: super::ConfigPath,
}

impl Explain {
    /// Exit 0 whatever the verdict: the question was answered.
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let path: PathBuf = self.config.config.clone();
        let config = match config::load(&path, Mode::Normal) {
            Ok(config) => config,
            Err(mistakes) => return super::refuse(&mistakes),
        };
        super::say(&self.explain(&config)?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn explain(&self, config: &Checked) -> anyhow::Result<String> {
        let (host, target) = split(&self.url)?;
        let mut out = String::new();
        let target =
            match canonical(target.as_bytes(), [host.as_bytes()].into_iter(), config.server.target_bytes_max)
            {
                Ok(target) => target,
                Err(error) => {
                    writeln!(out, "target    {error}")?;
                    return Ok(verdict(out, &Err(error.into())));
                }
            };
        writeln!(out, "target    host {} path {}", target.host.name(), target.path)?;
        let router = Router::new(&config.routes, &config.endpoints);
        let destination = match router.find(&target, &self.method) {
            Ok(destination) => destination,
            Err(denied) => return Ok(verdict(out, &Err(denied))),
        };
        let id = match destination {
            Destination::Endpoint(endpoint) => {
                writeln!(out, "route     the gateway's own endpoint `{}`", endpoint.name())?;
                writeln!(out, "verdict   answered by the gateway itself")?;
                return Ok(out);
            }
            Destination::Route(id) => id,
        };
        let route = &config.routes[id.0];
        describe(&mut out, route, config)?;
        let caller = self.authenticate(config, route, target.query);
        match &caller {
            Ok(Some(caller)) => {
                let caller = &caller.caller;
                writeln!(
                    out,
                    "caller    openid {} app {} (whether the session was ended is not known here)",
                    caller.openid, caller.app
                )?;
            }
            Ok(None) => writeln!(out, "caller    nobody")?,
            Err(_) => {}
        }
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let passed = caller
            .and_then(|caller| permit(id, route, caller, &Revocations::default(), None, nowhere))
            .map(|_| ());
        Ok(verdict(out, &passed))
    }

    fn authenticate(
        &self,
        config: &Checked,
        route: &Route,
        query: Option<&str>,
    ) -> Result<Option<crate::steps::authenticate::Authenticated>, Denied> {
        let keys = key_ring(&config.token).map_err(|_| Denied::Internal)?;
        let clock: Arc<dyn auth_core::Clock> = Arc::new(SystemClock);
        let (token, session, apps) = (&config.token, &config.session, &config.apps);
        let verifier = verifier(token, session, &keys, apps, &Arc::default(), &clock);
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            headers
                .insert(AUTHORIZATION, value.map_err(|_| Denied::Token(auth_core::TokenError::Malformed))?);
        }
        // However the config names the header, the token given here is the one that counts.
        let sources = TokenSources { headers: vec![AUTHORIZATION], query: config.token.query.clone() };
        authenticate(&verifier, &sources, route.auth, &headers, query.filter(|_| route.token_in_query))
    }
}

/// Host and target of a URL. A bare path is taken for any host.
fn split(url: &str) -> anyhow::Result<(String, String)> {
    if url.starts_with('/') {
        return Ok(("localhost".to_owned(), url.to_owned()));
    }
    // Not parsed further: what is odd about the path is for the gateway's own rules to find.
    let (_, rest) =
        url.split_once("://").context("give a URL such as https://shop.example.com/order/1, or a path")?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    host.parse::<Uri>().with_context(|| format!("`{host}` is no host"))?;
    Ok((host.to_owned(), path.to_owned()))
}

fn describe(out: &mut String, route: &Route, config: &Checked) -> std::fmt::Result {
    let auth = match route.auth {
        Auth::Required => "required",
        Auth::Optional => "optional",
        Auth::Lenient => "lenient",
        Auth::None => "none",
        Auth::Deny => "deny",
    };
    writeln!(out, "route     {} (path {}, auth {auth})", route.name, route.path.text)?;
    if let Some(apps) = &route.apps {
        let names: Vec<_> = apps.iter().map(|app| config.apps[*app].name.as_ref()).collect();
        writeln!(out, "apps      {}", if names.is_empty() { "nobody".to_owned() } else { names.join(", ") })?;
    }
    match route.upstream {
        Some(upstream) => writeln!(out, "upstream  {}", config.upstreams[upstream].name),
        None => Ok(()),
    }
}

fn verdict(mut out: String, passed: &Result<(), Denied>) -> String {
    let _ = match passed {
        Ok(()) => writeln!(out, "verdict   passes"),
        Err(denied) => writeln!(out, "verdict   refused: {} {}", denied.status().as_u16(), denied.code()),
    };
    out
}
