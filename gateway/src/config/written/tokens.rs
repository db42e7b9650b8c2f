//! `[token]`, `[session]`, `[store]`, `[wechat]`, `[login]`, `[endpoints]`, `[identity]`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::values::{Ceiling, Limit, Plain, Secret, Time};

/// `[token]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Token {
    /// The signing keys, at least one. The first signs, all verify: put a new key in front (on several nodes first behind, on
    /// all of them), and remove the old one when `ttl` has passed. Each is a private key in PEM (PKCS#8, P-256 or Ed25519) or
    /// an HMAC secret of 256 bits or more: at least 32 bytes, in hex 64 digits.
    pub(crate) keys: Vec<TokenKey>,
    /// How long a token lives, and so how long a session may be idle: one that is not used in the second half of its
    /// token's life is over, and the client logs in again silently, with `wx.login`. A short life bounds the harm of a
    /// stolen token. At most 30 days.
    pub(crate) ttl: Time,
    /// Whether a token past half its life gets a successor, in the answer's header `X-Session-Token`, for the same session and
    /// until `session.lifetime` is over. The old token is good until its own end. Answers that somebody may keep and give
    /// again carry none (`Cache-Control` with `public`, `s-maxage`, `immutable` or a `max-age` above 0, or `Expires`); those
    /// that carry one are `no-store`. Routes may say otherwise.
    pub(crate) renew: bool,
    /// The `iss` claim. Tokens of another issuer are refused; give each environment its own.
    pub(crate) issuer: String,
    /// How far clocks may differ when a token's times are judged. At most 60 seconds.
    pub(crate) leeway: Time,
    /// Verified tokens remembered, so that a signature is checked once; 0 turns the cache off. One costs at most 1 KiB.
    pub(crate) cache_entries: u64,
    /// Headers searched for a token, in this order. `authorization` means the Bearer scheme, any other name the bare
    /// token.
    pub(crate) headers: Vec<String>,
    /// The query parameter searched on routes with `token_in_query`, for clients that cannot set a header.
    pub(crate) query: String,
}

impl Default for Token {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            ttl: Time::secs(2 * 3600),
            renew: true,
            issuer: "wxgate".into(),
            leeway: Time::secs(5),
            cache_entries: 100_000,
            headers: vec!["authorization".into()],
            query: "token".into(),
        }
    }
}

/// One of `token.keys`: its name, and exactly one of `env`, `file` and `secret`. It is a private key in PEM (PKCS#8,
/// P-256 or Ed25519) or else an HMAC secret of at least 32 bytes, in hex of at least 64 digits.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenKey {
    /// The key's name in tokens and in the JWKS: 1 to 64 of `A-Z a-z 0-9 . _ -`. Never give a name to a second key.
    pub(crate) kid: Option<String>,
    /// The environment variable that holds the key.
    pub(crate) env: Option<String>,
    /// The file that holds the key; a relative path counts from the folder of the main config file.
    pub(crate) file: Option<String>,
    /// The key itself. Only `wxgate dev` accepts it: a config file is copied and committed too easily.
    #[schemars(with = "Option<String>")]
    pub(crate) secret: Option<Plain>,
}

/// `[session]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Session {
    /// A session ends this long after its login, however busy it is, and no token outlives it; then the client calls
    /// `wx.login` again. Not below `token.ttl`. Changed, a shorter time is in force at once, a longer one for the logins to come.
    pub(crate) lifetime: Time,
}

impl Default for Session {
    fn default() -> Self {
        Self { lifetime: Time::secs(30 * 86_400) }
    }
}

/// `[store]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    /// `embedded` is one file on one node and survives a restart; `memory` is gone with the process; `redis` is shared by
    /// several nodes. Left out: `redis` where `redis` is given, else `embedded`.
    pub(crate) kind: Option<StoreKind>,
    /// The file of the embedded store. Left out: `wxgate.redb`. A relative path counts from the folder of the main
    /// config file. The folder must be there when the gateway starts.
    pub(crate) path: Option<String>,
    /// Sessions kept at once; a login beyond that is refused, so that logins cannot fill the disk. Redis has a limit of its
    /// own, `maxmemory`.
    pub(crate) sessions_max: u64,
    /// Where Redis (6.2 or newer) or Valkey is, as a URL: `redis://user:password@host:6379/0`,
    /// `redis-sentinel://:password@host1:26379,host2:26379/master-name`, `redis-cluster://host1,host2,host3`,
    /// `redis+unix:///path/to.sock`; `rediss…` is the same over TLS. User and password are percent-encoded. Nodes that are
    /// given the same Redis share their sessions. A secret: `{ env = "X" }` or `{ file = "…" }`.
    pub(crate) redis: Option<Secret>,
    /// What all keys in Redis start with, 1 to 32 of `A-Z a-z 0-9 _ - . :`: two gateways that should share nothing need
    /// two.
    pub(crate) redis_prefix: String,
    /// A file with the certificates that sign Redis's, as PEM, for `rediss…`. Left out: the system's.
    pub(crate) redis_ca: Option<String>,
    /// To open a connection to one server of Redis. Not more than `redis_command_timeout`.
    pub(crate) redis_connect_timeout: Time,
    /// One command, with connecting and a second attempt. So long a login may wait for a Redis that does not answer; other
    /// requests never do.
    pub(crate) redis_command_timeout: Time,
    /// How often what ended on other nodes is read anew. It is heard at once as well; this is for what was not heard.
    pub(crate) redis_reread: Time,
    /// A node that could not read for so long what ended on others may let an ended session pass; routes with
    /// `on_store_down = "deny"` refuse from then on. Not less than `redis_reread` and `redis_command_timeout` together.
    pub(crate) redis_stale_after: Time,
    /// The keys that seal each `session_key` in a file or in Redis, which need at least one, the same on all nodes:
    /// `wxgate keygen --alg aes256` makes it. The first seals, all open: put a new key in front (on several nodes first behind, on all of them), and remove the old one when `session.lifetime` has passed.
    /// A session whose key is gone goes on, without its `session_key`. `wxgate dev` makes a key for its run where none is
    /// given.
    pub(crate) keys: Vec<StoreKey>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            kind: None,
            path: None,
            sessions_max: 1_000_000,
            redis: None,
            redis_prefix: "wxg".into(),
            redis_ca: None,
            redis_connect_timeout: Time(Duration::from_millis(500)),
            redis_command_timeout: Time::secs(1),
            redis_reread: Time::secs(10),
            redis_stale_after: Time::secs(15),
            keys: Vec::new(),
        }
    }
}

/// One of `store.keys`: its name, and exactly one of `env`, `file` and `secret`. It is 32 random bytes, in base64 or in hex.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreKey {
    /// The key's name beside what it sealed: 1 to 64 of `A-Z a-z 0-9 . _ -`. Never give a name to a second key.
    pub(crate) kid: Option<String>,
    /// The environment variable that holds the key.
    pub(crate) env: Option<String>,
    /// The file that holds the key; a relative path counts from the folder of the main config file.
    pub(crate) file: Option<String>,
    /// The key itself. Only `wxgate dev` accepts it: a config file is copied and committed too easily.
    #[schemars(with = "Option<String>")]
    pub(crate) secret: Option<Plain>,
}

/// `store.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    Memory,
    Embedded,
    Redis,
}

/// `[wechat]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wechat {
    /// Where WeChat's API is. Tried in turn while nothing could be sent. Plain `http` is accepted on loopback only: the
    /// AppSecret travels in these requests.
    pub(crate) base_urls: Vec<String>,
    /// To open a connection to WeChat. Less than `timeout`.
    pub(crate) connect_timeout: Time,
    /// For one exchange of a code, retries included. At most 60 seconds, when the mini program gives up.
    pub(crate) timeout: Time,
    /// Exchanges under way at once; further logins wait for a place.
    pub(crate) concurrency: u64,
}

impl Default for Wechat {
    fn default() -> Self {
        Self {
            base_urls: vec!["https://api.weixin.qq.com".into(), "https://api2.weixin.qq.com".into()],
            connect_timeout: Time::secs(2),
            timeout: Time::secs(8),
            concurrency: 64,
        }
    }
}

/// `[login]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Login {
    /// Whether the answer tells the client its openid. The services learn it from the gateway, so a client rarely needs
    /// it.
    pub(crate) openid_in_answer: bool,
    /// How long the same code gives its session again. A client that lost the answer may then simply repeat itself;
    /// `"0s"` turns this off. At most 5 minutes, the life of a code.
    pub(crate) replay: Time,
    /// How many logins one client address may send, an IPv6 /64 counting as one; more are refused with 429 before anything
    /// is done for them. The default leaves room for the hundreds of users whom a carrier or an office puts behind one
    /// address, and stops a single machine from using up the budget. Behind a load balancer that is not in
    /// `server.trusted_proxies` all users have one address. `"off"` turns this off.
    pub(crate) rate: Ceiling,
    /// How many codes of one app are exchanged at WeChat; more are refused with 429 before WeChat is asked, so that made-up
    /// codes cannot use up the app's quota there. A code that is answered from memory costs nothing. WeChat's page of
    /// code2Session (45011) names no figure for an app, an older one 100 a minute for each user; the default is the
    /// busiest hour of about a million daily users. Raise it for more. Each gateway counts for itself. `"off"`
    /// turns this off.
    pub(crate) budget: Ceiling,
}

impl Default for Login {
    fn default() -> Self {
        let per_minute = |requests| Ceiling(Some(Limit { requests, window: Duration::from_secs(60) }));
        Self {
            openid_in_answer: false,
            replay: Time::secs(60),
            rate: per_minute(600),
            budget: per_minute(6000),
        }
    }
}

/// `[endpoints]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Endpoints {
    /// `POST` a code of `wx.login` here; the answer is a token.
    pub(crate) login: String,
    /// `POST` here ends the session of the token.
    pub(crate) logout: String,
    /// `GET` here tells the caller who it is, and until when.
    pub(crate) session: String,
    /// `GET` here gives the public keys, for services that check signatures themselves.
    pub(crate) jwks: String,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            login: "/login".into(),
            logout: "/logout".into(),
            session: "/session".into(),
            jwks: "/.well-known/jwks.json".into(),
        }
    }
}

/// `[identity]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Identity {
    /// The header with the caller's openid.
    pub(crate) openid: String,
    /// The header with the appid of the mini program.
    pub(crate) appid: String,
    /// The header with the unionid, set when WeChat told it.
    pub(crate) unionid: String,
    /// The header that says where the identity comes from.
    pub(crate) source: String,
    /// The header with the signed assertion, for upstreams with `assertion`.
    pub(crate) assertion: String,
    /// The header with the environment's name.
    pub(crate) env: String,
    /// The value of the `env` header, such as `"prod"`. Left out: the header is not set.
    pub(crate) env_value: Option<String>,
    /// Further headers that clients may not set and services may not answer with.
    pub(crate) also_protected: Vec<String>,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            openid: "x-wx-openid".into(),
            appid: "x-wx-appid".into(),
            unionid: "x-wx-unionid".into(),
            source: "x-wx-source".into(),
            assertion: "x-wx-assertion".into(),
            env: "x-wx-env".into(),
            env_value: None,
            also_protected: Vec::new(),
        }
    }
}
