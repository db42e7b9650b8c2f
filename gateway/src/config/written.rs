//! The config as written: what the file may say, in its own words, before anything is checked.
//!
//! The doc comments are the description of each key in the schema and in the reference, and the `Default`s are what
//! a key is when it is left out: there is no second list of either.

mod routing;
mod serving;
mod tokens;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use routing::{App, Rate, Route, Upstream};
pub(crate) use serving::{Admin, AdminService, Certificate, Log, Server, Tls};
pub(crate) use tokens::{
    Endpoints, Identity, Login, Session, Store, StoreKey, StoreKind, Token, TokenKey, Wechat,
};

/// The config file of wxgate.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "wxgate")]
pub(crate) struct File {
    /// The version of the file's format: 1. Required, so that a later format is never read as this one.
    pub(crate) version: Option<i64>,
    /// Further files, such as `["conf.d/*.toml"]`. Paths count from the folder of this file; `*` may stand in the last
    /// part; `..` and absolute paths are refused. Tables are merged, lists of routes are joined, and the same key in two
    /// places is a mistake. Only the main file may include.
    pub(crate) include: Vec<String>,
    /// The public listeners and the limits of a client's connection.
    pub(crate) server: Server,
    /// Public listeners that speak TLS, and the certificates that they show.
    pub(crate) tls: Tls,
    /// The private listener: health, metrics, sessions.
    pub(crate) admin: Admin,
    /// What is logged, and how.
    pub(crate) log: Log,
    /// The login tokens: how they are signed, how long they live, where clients put them.
    pub(crate) token: Token,
    /// The logins behind the tokens.
    pub(crate) session: Session,
    /// Where sessions are kept.
    pub(crate) store: Store,
    /// How WeChat's API is called.
    pub(crate) wechat: Wechat,
    /// What `/login` does.
    pub(crate) login: Login,
    /// The paths that the gateway answers itself, on every host. An empty text turns one off.
    pub(crate) endpoints: Endpoints,
    /// The headers in which a service reads who is calling. Each is removed from every request and every answer in
    /// every spelling, and then set by the gateway alone. The defaults are the names of WeChat Cloud Hosting: a service
    /// written for it runs unchanged.
    pub(crate) identity: Identity,
    /// One mini program. NAME is yours: routes and logs use it.
    pub(crate) app: BTreeMap<String, App>,
    /// One service behind the gateway. NAME is yours: routes and metrics use it.
    pub(crate) upstream: BTreeMap<String, Upstream>,
    /// Which requests go where, and who may send them. The most specific route wins, whatever the order; two that tie are
    /// a mistake.
    pub(crate) route: Vec<Route>,
}
