//! The keys of `[store]` that are about Redis.

use std::time::Duration;

use auth_core::session::{RedisAddress, RedisSettings};
use secrecy::ExposeSecret as _;

use crate::config::check::{Context, keys, serving, tls};
use crate::config::checked::{Redis, Store, StoreKey};
use crate::config::hidden::looks_secret;
use crate::config::values::{Secret, Time};
use crate::config::written;

/// The keys of the section that only a store in Redis has.
pub(super) const KEYS: [&str; 7] = [
    "redis",
    "redis_prefix",
    "redis_ca",
    "redis_connect_timeout",
    "redis_command_timeout",
    "redis_reread",
    "redis_stale_after",
];

/// Longer, and a login would wait longer than its client does.
const COMMAND_MAX: Time = Time::secs(10);
/// More often, and reading the ends of other nodes would be a load of its own; less often, and what was missed stays so for long.
const REREAD: std::ops::RangeInclusive<Time> = Time::secs(1)..=Time::secs(300);

pub(super) fn store(
    written: written::Store,
    store_keys: impl FnOnce(Vec<written::StoreKey>, &mut Context<'_>) -> Vec<StoreKey>,
    cx: &mut Context<'_>,
) -> Store {
    let address = address(written.redis.as_ref(), cx);
    let root_certificates = written.redis_ca.as_deref().and_then(|file| ca(file, address.as_ref(), cx));
    let prefix = prefix(written.redis_prefix, cx);
    let least = Time(Duration::from_millis(10));
    let command =
        cx.within("store.redis_command_timeout", written.redis_command_timeout, least..=COMMAND_MAX).0;
    let connect = serving::time(cx, "store.redis_connect_timeout", written.redis_connect_timeout);
    if connect > command {
        let help = "connecting is a part of the command: lower this, or raise `store.redis_command_timeout`";
        let why = format!("must not be more than `store.redis_command_timeout` ({})", Time(command));
        cx.wrong("store.redis_connect_timeout", why, help);
    }
    let reread = cx.within("store.redis_reread", written.redis_reread, REREAD).0;
    let stale_after = serving::time(cx, "store.redis_stale_after", written.redis_stale_after);
    if stale_after < reread + command {
        let why = format!("must not be less than {}", Time(reread + command));
        let help = "the store is read every `store.redis_reread`, and may take `store.redis_command_timeout` to answer";
        cx.wrong("store.redis_stale_after", why, help);
    }
    let keys = store_keys(written.keys, cx);
    match address {
        Some(address) => {
            let settings = RedisSettings { address, prefix, connect, command, reread, root_certificates };
            Store::Redis(Box::new(Redis { settings, stale_after, keys }))
        }
        // What is wrong was noted, and the whole is thrown away.
        None => Store::Memory { sessions_max: 1 },
    }
}

fn address(secret: Option<&Secret>, cx: &mut Context<'_>) -> Option<RedisAddress> {
    const PATH: &str = "store.redis";
    let Some(secret) = secret else {
        let help = "write `redis = { env = \"REDIS_URL\" }` or `redis = { file = \"…\" }`";
        cx.missing(PATH, "where Redis is, is missing", help);
        return None;
    };
    let text = keys::read(PATH, secret, cx)?;
    let address = text.expose_secret().parse::<RedisAddress>();
    let help = "a URL such as redis://:PASSWORD@host:6379/0; percent-encode what stands before the @";
    address.map_err(|why| cx.wrong(PATH, format!("not the address of a Redis: {why}"), help)).ok()
}

fn ca(file: &str, address: Option<&RedisAddress>, cx: &mut Context<'_>) -> Option<Vec<u8>> {
    const PATH: &str = "store.redis_ca";
    if looks_secret(file) {
        cx.wrong(PATH, "takes the path of a file, not its content", "write \"/etc/wxgate/redis-ca.pem\"");
        return None;
    }
    if address.is_some_and(|address| !address.is_tls()) {
        let help = "write `rediss` instead of `redis` in the URL, or remove `redis_ca`";
        cx.wrong(PATH, "Redis is reached without TLS", help);
    }
    let help = "write the certificates of those who sign for Redis, as PEM";
    let read = tls::read(file, cx).and_then(|(bytes, _)| {
        tls::pem_certificates(file, &bytes, help, cx)?;
        Ok(bytes.to_vec())
    });
    read.map_err(|(message, help)| cx.wrong(PATH, message, help)).ok()
}

fn prefix(prefix: String, cx: &mut Context<'_>) -> String {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
    if !(1..=32).contains(&prefix.len()) || !prefix.bytes().all(fits) {
        cx.wrong(
            "store.redis_prefix",
            "not 1 to 32 of A-Z a-z 0-9 _ - . :",
            "write \"wxg\", or leave it out",
        );
    }
    prefix
}
