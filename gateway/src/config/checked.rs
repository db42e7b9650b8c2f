//! The config as used: every value checked, every default filled in, every name resolved, every secret read.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auth_core::session::RedisSettings;
use auth_core::wechat::WechatApp;
use http::header::HeaderName;
use ipnet::IpNet;
use rustls::sign::CertifiedKey;
use schemars::JsonSchema;
use secrecy::{SecretSlice, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::values::Limit;

/// The whole config. Field names follow the sections of the file.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) server: Server,
    pub(crate) tls: Tls,
    pub(crate) admin: Admin,
    pub(crate) log: Log,
    pub(crate) token: Token,
    pub(crate) session: Session,
    pub(crate) store: Store,
    pub(crate) wechat: Wechat,
    pub(crate) login: Login,
    pub(crate) endpoints: Endpoints,
    pub(crate) identity: Identity,
    /// In the order of the file; at least one if `endpoints.login` is on.
    pub(crate) apps: Vec<App>,
    pub(crate) upstreams: Vec<Upstream>,
    /// In the order of the file. Free of ties: a router built from them cannot conflict.
    pub(crate) routes: Vec<Route>,
    /// What is allowed but looks wrong, one line each, with its place. To be logged at start.
    pub(crate) warnings: Vec<String>,
}

/// `[server]`: the public listeners and the limits of a client's connection.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) listen: Vec<SocketAddr>,
    /// Threads that carry traffic; default: one per core.
    pub(crate) workers: usize,
    /// Whose `X-Forwarded-For` is believed; default nobody. `/0` networks are refused.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// From the first to the last byte of a request head. Default 10 s.
    pub(crate) header_timeout: Duration,
    /// An idle kept-alive connection is closed after this. Default 75 s.
    pub(crate) keepalive_timeout: Duration,
    /// Between two reads of a request body. Default 30 s.
    pub(crate) read_timeout: Duration,
    /// How long writing to a client may stand still; what it takes gives some of that back. Default 60 s.
    pub(crate) write_timeout: Duration,
    /// Request line and headers together, in bytes. Default 32 KiB.
    pub(crate) header_bytes_max: usize,
    /// Path and query, in bytes. Default 8 KiB.
    pub(crate) target_bytes_max: usize,
    /// Request body where the route says nothing, in bytes. Default 1 GiB.
    pub(crate) body_bytes_max: u64,
    /// Connections of clients. Default 20 000.
    pub(crate) connections_max: usize,
    /// Of one address, or of one IPv6 network of 64 bits. Default 5000.
    pub(crate) connections_per_address_max: usize,
    /// Kept-alive connections to all upstreams, over all workers. Default 1024.
    pub(crate) upstream_pool: usize,
    /// After SIGTERM: how long readiness is already off while new requests are still taken. Default 0 s.
    pub(crate) drain_delay: Duration,
    /// After that: how long running requests may take to finish. Default 30 s.
    pub(crate) drain_timeout: Duration,
}

/// `[tls]`: public listeners that speak TLS, and the certificates that they show.
#[derive(Debug)]
pub(crate) struct Tls {
    /// Default none.
    pub(crate) listen: Vec<SocketAddr>,
    /// In the order of the file; at least one if anything is listened to. No name is in two of them.
    pub(crate) certificates: Vec<Certificate>,
}

/// One certificate with its key, which fits it.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// The DNS names that it is for.
    pub(crate) names: Vec<HostPattern>,
    /// The addresses that it is for.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) key: Arc<CertifiedKey>,
}

/// `[admin]`: the private listener.
#[derive(Debug)]
pub(crate) struct Admin {
    /// Default `127.0.0.1:9090`. Other than loopback only with a token.
    pub(crate) listen: SocketAddr,
    /// The operator's credential, of at least 32 characters that a header can hold. Default none.
    pub(crate) token: Option<SecretString>,
    /// In the order of the file. Each has a credential of its own.
    pub(crate) services: Vec<AdminService>,
}

/// `[admin.service.NAME]`: a service that may use the `session_key` of users.
#[derive(Debug)]
pub(crate) struct AdminService {
    pub(crate) name: Arc<str>,
    pub(crate) token: SecretString,
    /// Indexes into `apps`; none: every app. An empty list in the file means no app and arrives here empty.
    pub(crate) apps: Option<Vec<usize>>,
    /// Checks at WeChat of one app. Default 600 a minute; none: turned off.
    pub(crate) checks: Option<Limit>,
}

/// `[log]`.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    /// A `tracing` filter such as `info` or `info,wxgate=debug`. Default `info`.
    pub(crate) level: String,
    /// Whether each request gets a line. Default true.
    pub(crate) access: bool,
}

/// How log lines look: `auto` is text on a terminal and JSON elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Auto,
    Json,
    Text,
}

/// `[token]`: the login tokens and where a client may put them.
#[derive(Debug)]
pub(crate) struct Token {
    /// At least one. The first signs, all verify.
    pub(crate) keys: Vec<TokenKey>,
    /// Default 2 h.
    pub(crate) ttl: Duration,
    /// Whether a token past half its life is renewed where the route says nothing. Default true.
    pub(crate) renew: bool,
    /// Default `wxgate`.
    pub(crate) issuer: String,
    /// How far clocks may differ when a token's times are judged. Default 5 s, at most 60 s.
    pub(crate) leeway: Duration,
    /// Verified tokens remembered; 0 turns the cache off. Default 100 000.
    pub(crate) cache_entries: u64,
    /// Headers searched for a token. `authorization` means the Bearer scheme, any other the bare token.
    pub(crate) headers: Vec<HeaderName>,
    /// The query parameter searched on routes with `token_in_query`. Default `token`.
    pub(crate) query: String,
}

/// One key: its text as the secret held it, trailing line break removed.
#[derive(Debug)]
pub(crate) struct TokenKey {
    pub(crate) kid: String,
    /// PEM (PKCS#8, P-256 or Ed25519), or else an HMAC secret of at least 32 bytes.
    pub(crate) material: SecretSlice<u8>,
}

/// `[session]`.
#[derive(Debug)]
pub(crate) struct Session {
    /// A session ends this long after its login. Default 30 days; not below `token.ttl`.
    pub(crate) lifetime: Duration,
}

/// `[store]`: where sessions are kept.
#[derive(Debug)]
pub(crate) enum Store {
    /// `kind = "memory"`: gone with the process.
    Memory { sessions_max: u64 },
    /// `kind = "embedded"` (default): one file, one node. Default path `wxgate.redb` beside the config file. Without keys
    /// (under `wxgate dev` only) a key is made for the run.
    Embedded { path: PathBuf, sessions_max: u64, keys: Vec<StoreKey> },
    /// `redis = { … }`: shared by several nodes.
    Redis(Box<Redis>),
}

/// The shared store.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(crate) settings: RedisSettings,
    /// Default 15 s.
    pub(crate) stale_after: Duration,
    pub(crate) keys: Vec<StoreKey>,
}

/// One key that seals: its text as the secret held it, trailing line break removed.
#[derive(Debug)]
pub(crate) struct StoreKey {
    pub(crate) kid: String,
    /// 32 bytes in base64 or hex, or as they are.
    pub(crate) material: SecretSlice<u8>,
}

/// `[wechat]`: how WeChat's API is called.
#[derive(Debug)]
pub(crate) struct Wechat {
    /// Tried in turn while nothing could be sent. Default `https://api.weixin.qq.com`, then `https://api2.weixin.qq.com`.
    pub(crate) base_urls: Vec<String>,
    /// Default 2 s.
    pub(crate) connect_timeout: Duration,
    /// One exchange, retries included. Default 8 s.
    pub(crate) timeout: Duration,
    /// Exchanges under way at once. Default 64.
    pub(crate) concurrency: usize,
}

/// `[login]`.
#[derive(Debug)]
pub(crate) struct Login {
    /// Whether the answer tells the client its openid. Default false.
    pub(crate) openid_in_answer: bool,
    /// How long a code gives its session again. Default 60 s.
    pub(crate) replay: Duration,
    /// Logins of one client address. Default 600 a minute; none: turned off.
    pub(crate) rate: Option<Limit>,
    /// Exchanges of one app at WeChat. Default 6000 a minute; none: turned off.
    pub(crate) budget: Option<Limit>,
}

/// `[endpoints]`: the paths that the gateway answers itself; an empty text in the file turns one off.
#[derive(Debug)]
pub(crate) struct Endpoints {
    /// Default `/login`.
    pub(crate) login: Option<String>,
    /// Default `/logout`.
    pub(crate) logout: Option<String>,
    /// Default `/session`.
    pub(crate) session: Option<String>,
    /// Default `/.well-known/jwks.json`.
    pub(crate) jwks: Option<String>,
}

/// `[identity]`: the names under which a service reads the caller. Each is a protected name on every route.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Default `x-wx-openid`.
    pub(crate) openid: HeaderName,
    /// Default `x-wx-appid`.
    pub(crate) appid: HeaderName,
    /// Default `x-wx-unionid`.
    pub(crate) unionid: HeaderName,
    /// Default `x-wx-source`.
    pub(crate) source: HeaderName,
    /// Default `x-wx-assertion`.
    pub(crate) assertion: HeaderName,
    /// Default `x-wx-env`.
    pub(crate) env: HeaderName,
    /// The value of the `env` header; none: the header is not set.
    pub(crate) env_value: Option<String>,
    /// Further names that clients may not set and services may not answer with, lower-case.
    pub(crate) also_protected: Vec<HeaderName>,
}

/// `[app.NAME]`: one mini program.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) name: Arc<str>,
    pub(crate) wechat: WechatApp,
}

/// `[upstream.NAME]`: a service.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: Arc<str>,
    /// `host:port`, at least one. Names are resolved in the background.
    pub(crate) servers: Vec<ServerAddress>,
    /// Default 2 s.
    pub(crate) connect_timeout: Duration,
    /// Between two reads of an answer. Default 60 s.
    pub(crate) read_timeout: Duration,
    /// Default 60 s.
    pub(crate) write_timeout: Duration,
    /// A kept-alive connection unused for this long is closed. Default 55 s: below the 60 s and more of common servers.
    pub(crate) idle_timeout: Duration,
    /// A WebSocket through which neither side says anything for this long is closed. Default 10 min.
    pub(crate) websocket_idle_timeout: Duration,
    /// How many servers are tried when one does not accept the connection. Default 3.
    pub(crate) tries: usize,
    /// The `Host` that the service sees; none: the client's.
    pub(crate) host: Option<String>,
    /// Whether the service gets a signed assertion of who calls. Then the first of the token keys is a private key.
    pub(crate) assertion: bool,
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ServerAddress {
    Ip(SocketAddr),
    Name { host: String, port: u16 },
}

/// `[[route]]`.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// For logs and metrics. Default: the path pattern, with the host or method before it where that tells routes apart.
    pub(crate) name: Arc<str>,
    /// Empty: any host.
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) path: PathPattern,
    /// Empty: any method.
    pub(crate) methods: Vec<http::Method>,
    /// Index into `upstreams`; none only with `auth = "deny"`.
    pub(crate) upstream: Option<usize>,
    pub(crate) auth: Auth,
    /// Indexes into `apps`; none: every app. An empty list in the file means nobody and arrives here empty.
    pub(crate) apps: Option<Vec<usize>>,
    pub(crate) websocket: bool,
    /// The prefix removed before the service sees the path: a whole-segment prefix of `path`.
    pub(crate) strip_prefix: Option<String>,
    pub(crate) rate: Option<Rate>,
    pub(crate) body_bytes_max: u64,
    /// Whether the token may come as a query parameter. Default false.
    pub(crate) token_in_query: bool,
    /// Whether a token past half its life is renewed. Default `token.renew`; never where no token is looked at.
    pub(crate) renew: bool,
    /// Whether the service sees the token. Default false.
    pub(crate) forward_token: bool,
    pub(crate) on_store_down: OnStoreDown,
}

/// What becomes of a caller while ends of sessions on other nodes may be missing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnStoreDown {
    /// Passes, though the session may have ended on another node.
    #[default]
    Allow,
    /// Is refused until the store can be read again.
    Deny,
}

/// Who may pass a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Auth {
    #[default]
    Required,
    Optional,
    Lenient,
    None,
    Deny,
}

/// `"shop.example.com"` or `"*.example.com"` (exactly one more label), lower-case, no port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    Exact(String),
    /// Without the `*.`.
    Wildcard(String),
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(below) => write!(f, "*.{below}"),
        }
    }
}

/// A path pattern: `/exact`, `/prefix/*`, `/item/{id}/detail`, canonical in every literal segment.
/// `/prefix/*` covers `/prefix` itself, `/prefix/` and everything below. `/` and `/exact/` end in an empty literal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PathPattern {
    pub(crate) text: Arc<str>,
    pub(crate) segments: Vec<Segment>,
    /// Whether the pattern ends with `/*`.
    pub(crate) prefix: bool,
}

/// One segment between slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    Literal(String),
    /// `{name}`: any one segment that is not empty.
    Param(String),
}

/// `rate = { per = "openid", limit = "20/s" }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per: RateKey,
    pub(crate) limit: Limit,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RateKey {
    /// One user; an anonymous request counts by client address.
    #[default]
    Openid,
    /// The client's address; IPv6 by /64.
    Address,
}
