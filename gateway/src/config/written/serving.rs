//! `[server]`, `[tls]`, `[admin]`, `[log]`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::checked::LogFormat;
use crate::config::values::{Ceiling, Limit, Secret, Size, Time};

/// `[server]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    /// Addresses that take traffic without TLS, as `ip:port`. The default is this machine only, until you say otherwise. May
    /// be empty if `tls.listen` is not.
    pub(crate) listen: Vec<String>,
    /// Threads that carry traffic. Left out: one per core.
    pub(crate) workers: Option<u64>,
    /// Networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, such as the load balancer's. The default is
    /// nobody: anyone could write these headers. All addresses at once (`/0`) are refused.
    pub(crate) trusted_proxies: Vec<String>,
    /// From the first to the last byte of a request head: a slow client cannot hold a connection for longer. At most 60
    /// seconds; on a kept connection `keepalive_timeout` ends the wait if that is sooner.
    pub(crate) header_timeout: Time,
    /// An idle kept-alive connection is closed after this.
    pub(crate) keepalive_timeout: Time,
    /// The longest pause between two reads of a request body.
    pub(crate) read_timeout: Time,
    /// How long writing to a client may stand still, in all; each KiB that it takes gives a second back. So a slow client is
    /// served, and one that takes a byte now and then is cut.
    pub(crate) write_timeout: Time,
    /// Request line and headers together; more is refused with 431.
    pub(crate) header_bytes_max: Size,
    /// Path and query together; more is refused with 414.
    pub(crate) target_bytes_max: Size,
    /// A request body, where its route says nothing; more is refused with 413. Bodies are streamed, never held, so a
    /// large limit costs no memory. `"0B"` allows no body.
    pub(crate) body_bytes_max: Size,
    /// Connections of clients at once, those that are still shaking hands included. When there are more, the one that has
    /// been idle longest is closed; if none is idle, the new one. Each may need two open files (`ulimit -n`).
    pub(crate) connections_max: u64,
    /// Connections at once of one address (of one /64 in IPv6); more are closed at once. `trusted_proxies` are exempt. A
    /// mobile carrier has many users behind one address, and a load balancer that is not listed has all of them.
    pub(crate) connections_per_address_max: u64,
    /// Idle kept-alive connections to all upstreams together. Set it above the peak of concurrent requests, or
    /// connections are opened and closed all the time.
    pub(crate) upstream_pool: u64,
    /// After SIGTERM: how long readiness is already off while new requests are still taken. Give a load balancer the
    /// time that it needs to notice.
    pub(crate) drain_delay: Time,
    /// After that: how long running requests may take to finish.
    pub(crate) drain_timeout: Time,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec!["127.0.0.1:8080".into()],
            workers: None,
            trusted_proxies: Vec::new(),
            header_timeout: Time::secs(10),
            keepalive_timeout: Time::secs(75),
            read_timeout: Time::secs(30),
            write_timeout: Time::secs(60),
            header_bytes_max: Size(32 << 10),
            target_bytes_max: Size(8 << 10),
            body_bytes_max: Size(1 << 30),
            connections_max: 20_000,
            connections_per_address_max: 5_000,
            upstream_pool: 1024,
            drain_delay: Time::secs(0),
            drain_timeout: Time::secs(30),
        }
    }
}

/// `[tls]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    /// Addresses that take traffic over TLS 1.2 or 1.3, HTTP/1.1 or HTTP/2, as `ip:port`.
    pub(crate) listen: Vec<String>,
    /// The certificates. Each serves the DNS names (`*.example.com`: exactly one more label) and the IP addresses that are
    /// written in it. The first also serves clients that name no host in the handshake.
    pub(crate) certificate: Vec<Certificate>,
}

/// `[[tls.certificate]]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Certificate {
    /// The file of the certificate and those between it and its root, as PEM, the own one first. A relative path counts
    /// from the folder of the main file.
    pub(crate) chain: Option<String>,
    /// The file of its private key, as PEM.
    pub(crate) key: Option<String>,
}

/// `[admin]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    /// Where health, metrics and sessions are served. An address other than loopback needs `token`, and then `/livez` and
    /// `/readyz` alone are open. It speaks no TLS: keep it on a network of your own.
    pub(crate) listen: String,
    /// The operator's credential, for `Authorization: Bearer`: at least 32 characters, as `wxgate keygen --alg token` makes
    /// them. Left out: nobody may see or end sessions.
    pub(crate) token: Option<Secret>,
    /// Services that use the `session_key` of users without seeing it: `[admin.service.NAME]`. NAME stands in the log.
    pub(crate) service: BTreeMap<String, AdminService>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9090".into(), token: None, service: BTreeMap::new() }
    }
}

/// `[admin.service.NAME]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdminService {
    /// The service's credential, for `Authorization: Bearer` and `/session-data/` alone, made as `admin.token`. Required.
    pub(crate) token: Option<Secret>,
    /// The apps whose users it may ask about, by their names. Left out: all; an empty list: none.
    pub(crate) apps: Option<Vec<String>>,
    /// How often it may ask WeChat whether a `session_key` is still current, for each app; more is refused with 429, so that
    /// one service does not use up the app's quota there. Each gateway counts for itself. `"off"` turns this off.
    pub(crate) checks: Ceiling,
}

impl Default for AdminService {
    fn default() -> Self {
        let checks = Ceiling(Some(Limit { requests: 600, window: Duration::from_secs(60) }));
        Self { token: None, apps: None, checks }
    }
}

/// `[log]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// How log lines look: `auto` is text on a terminal and JSON elsewhere.
    pub(crate) format: LogFormat,
    /// The least level that is logged: `error`, `warn`, `info`, `debug` or `trace`, and per part of the program as in
    /// `"info,wxgate=debug"`. Libraries are heard from `warn` up whatever stands here: below that they write request heads and
    /// URLs, and with them tokens and AppSecrets.
    pub(crate) level: String,
    /// Whether each request gets a line.
    pub(crate) access: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".into(), access: true }
    }
}
