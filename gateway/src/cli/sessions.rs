//! `wxgate sessions`: what an operator asks of a running gateway, through its private listener.

mod listener;
mod table;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use auth_core::{OpenId, Sid, UnionId};
use clap::{ArgGroup, Subcommand};
use serde_json::Value;

use listener::{Asked, Listener};

#[derive(Debug, clap::Args)]
pub(super) struct Sessions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the sessions of a user, the newest first
    List(List),
    /// Show one session
    Show(Show),
    /// End one session, or all of a user, at once
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("user").args(["openid", "unionid"]).required(true)))]
struct List {
    #[command(flatten)]
    whose: Whose,
    /// The most sessions to list, up to 1000
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: u32,
    /// Show whole openids and unionids
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The id of the session, as the access log writes it
    #[arg(allow_hyphen_values = true, value_parser = Sid::parse)]
    sid: Sid,
    /// Show the whole openid and unionid
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("what").args(["sid", "openid", "unionid"]).required(true)))]
struct Revoke {
    /// The id of one session, as the access log writes it
    #[arg(allow_hyphen_values = true, value_parser = Sid::parse, conflicts_with = "app")]
    sid: Option<Sid>,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct Whose {
    /// The app of the openid, by its name in the config or its appid; may be left out where there is only one
    #[arg(long, value_name = "APP", conflicts_with = "unionid")]
    app: Option<String>,
    /// A user of one app
    #[arg(long, value_name = "OPENID", value_parser = OpenId::parse)]
    openid: Option<OpenId>,
    /// A user across apps
    #[arg(long, value_name = "UNIONID", value_parser = UnionId::parse)]
    unionid: Option<UnionId>,
}

/// Where the gateway is, and how the answer looks.
#[derive(Debug, clap::Args)]
struct How {
    /// Print the gateway's answer as it is, in JSON
    #[arg(long)]
    json: bool,
    /// Where the private listener is, such as http://10.0.0.5:9090; else the config says
    #[arg(long, value_name = "URL", value_parser = listener::address)]
    admin: Option<reqwest::Url>,
    /// The file with the operator's credential; else the variable WXGATE_ADMIN_TOKEN, or `admin.token` of the config
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    config: super::ConfigPath,
}

impl Sessions {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let (asked, how) = self.command.asked();
        let listener = match Listener::of(&how)? {
            Ok(listener) => listener,
            Err(mistakes) => {
                let refused = super::refuse(&mistakes)?;
                let instead = "say where and who instead: --admin URL, and --token-file FILE or";
                writeln!(std::io::stderr(), "{instead} {}", listener::VARIABLE)?;
                return Ok(refused);
            }
        };
        let answer = listener.ask(&asked)?;
        if how.json {
            super::say(&format!("{answer}\n"))?;
        } else {
            tell(&asked, &answer)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Command {
    fn asked(self) -> (Asked, How) {
        match self {
            Self::List(List { whose, limit, full, how }) => {
                let mut query = whose.query();
                query.push(("limit", limit.to_string()));
                query.extend(full.then(|| ("full", "true".to_owned())));
                (Asked { ends: false, sid: None, query }, how)
            }
            Self::Show(Show { sid, full, how }) => {
                let query = full.then(|| ("full", "true".to_owned())).into_iter().collect();
                (Asked { ends: false, sid: Some(sid), query }, how)
            }
            Self::Revoke(Revoke { sid, whose, how }) => {
                (Asked { ends: true, sid, query: whose.query() }, how)
            }
        }
    }
}

impl Whose {
    fn query(self) -> Vec<(&'static str, String)> {
        let (openid, unionid) = (self.openid.map(String::from), self.unionid.map(String::from));
        let pairs = [("app", self.app), ("openid", openid), ("unionid", unionid)];
        pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Tells a person.
fn tell(asked: &Asked, answer: &Value) -> anyhow::Result<()> {
    if asked.ends {
        return super::say(&match (answer["ended"].as_u64().unwrap_or_default(), asked.sid) {
            (0, Some(_)) => {
                "no such session is kept; a token of it that may be out is refused from now on\n".into()
            }
            (1, _) => "1 session ended\n".to_owned(),
            (ended, _) => format!("{ended} sessions ended\n"),
        });
    }
    match answer["sessions"].as_array() {
        Some(sessions) if sessions.is_empty() => super::say("no session\n"),
        Some(sessions) => {
            super::say(&table::rows(sessions))?;
            if answer["more"] == true {
                writeln!(std::io::stderr(), "there are more: raise --limit")?;
            }
            Ok(())
        }
        None => super::say(&table::one(answer)),
    }
}
