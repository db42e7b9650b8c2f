//! `[app.NAME]`, `[upstream.NAME]`, `[[route]]`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::checked::{Auth, OnStoreDown, RateKey};
use crate::config::values::{Limit, Secret, Size, Time};

/// `[app.NAME]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct App {
    /// The appid of the mini program: `wx` and 16 lower-case hex digits. Required.
    pub(crate) appid: Option<String>,
    /// The AppSecret: `{ env = "X" }` or `{ file = "…" }`; the text itself only under `wxgate dev`. Required.
    pub(crate) secret: Option<Secret>,
}

/// `[upstream.NAME]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Upstream {
    /// The servers of the service, as `host:port`, at least one. Requests are spread over them; names are resolved in the
    /// background. Required.
    pub(crate) servers: Vec<String>,
    /// To open a connection to a server.
    pub(crate) connect_timeout: Time,
    /// The longest pause between two reads of an answer.
    pub(crate) read_timeout: Time,
    /// The longest single write of a request.
    pub(crate) write_timeout: Time,
    /// A kept-alive connection unused for this long is closed. Keep it below the server's own timeout, or a request meets
    /// a connection that is just being closed.
    pub(crate) idle_timeout: Time,
    /// A WebSocket through which neither side says anything for this long is closed.
    pub(crate) websocket_idle_timeout: Time,
    /// How many servers are tried when one does not accept the connection.
    pub(crate) tries: u64,
    /// The `Host` that the service sees. Left out: the client's.
    pub(crate) host: Option<String>,
    /// Whether the service gets a signed assertion of who calls, which it can check against the JWKS: a JWT of 60 seconds whose
    /// `aud` is NAME, in the header `identity.assertion`. Needs an ES256 or EdDSA key first in `token.keys`.
    pub(crate) assertion: bool,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            connect_timeout: Time::secs(2),
            read_timeout: Time::secs(60),
            write_timeout: Time::secs(60),
            idle_timeout: Time::secs(55),
            websocket_idle_timeout: Time::secs(600),
            tries: 3,
            host: None,
            assertion: false,
        }
    }
}

/// `[[route]]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Route {
    /// The name in logs and metrics. Left out: the path, with host or method before it where that tells routes apart.
    pub(crate) name: Option<String>,
    /// Hosts such as `"shop.example.com"` or `"*.example.com"` (exactly one more label), without port. Left out: any host.
    pub(crate) hosts: Option<Vec<String>>,
    /// `/exact`, `/prefix/*` (the prefix itself and everything below) or `/item/{id}` (any one segment). Upper and lower
    /// case differ. Required.
    pub(crate) path: Option<String>,
    /// Methods such as `["GET", "POST"]`. Left out: any method.
    pub(crate) methods: Option<Vec<String>>,
    /// The name of the upstream. Required, unless `auth = "deny"`.
    pub(crate) upstream: Option<String>,
    /// Who may pass. `required`: callers with a valid token. `optional`: also those without a token, but a bad token is
    /// refused. `lenient`: a bad token counts as none. `none`: the token is not looked at, and the service sees no
    /// identity. `deny`: nobody. A key that does nothing under it is a mistake, such as `apps` with
    /// `none` and `rate` with `deny`.
    pub(crate) auth: Auth,
    /// The apps whose users may pass. Left out: every app. An empty list: nobody.
    pub(crate) apps: Option<Vec<String>>,
    /// Whether a request may become a WebSocket.
    pub(crate) websocket: bool,
    /// The prefix removed before the service sees the path: whole literal segments at the start of `path`.
    pub(crate) strip_prefix: Option<String>,
    /// How many requests may pass in a time. Left out: no limit.
    pub(crate) rate: Option<Rate>,
    /// A request body on this route; more is refused with 413. Left out: `server.body_bytes_max`.
    pub(crate) body_bytes_max: Option<Size>,
    /// Whether the token may come as the query parameter `token.query`. Addresses end up in logs and histories, so allow
    /// it only where a client cannot set a header.
    pub(crate) token_in_query: bool,
    /// Whether answers of this route carry the successor of a token past half its life. Left out: `token.renew`.
    pub(crate) renew: Option<bool>,
    /// Whether the service sees the token. A service that trusts the identity headers does not need it.
    pub(crate) forward_token: bool,
    /// What becomes of callers while the Redis of several nodes cannot be read, so that this node may not know of a session
    /// that was ended on another (`store.redis_stale_after`). `allow`: they pass, as their tokens say. `deny`: they are refused
    /// with 503, also on WebSockets that are open. A store of one node is never stale.
    pub(crate) on_store_down: OnStoreDown,
}

/// `route.rate`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    /// Whose requests are counted together. `openid`: one user; an anonymous request counts by its address. `address`: one
    /// client address, for IPv6 its /64.
    #[serde(default)]
    pub(crate) per: RateKey,
    /// Requests per second, minute or hour, such as `"20/s"`. Required.
    pub(crate) limit: Option<Limit>,
}
