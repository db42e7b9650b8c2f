//! `[server]`, `[log]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::Context;
use crate::config::Mode;
use crate::config::checked::{Log, Server};
use crate::config::mistake::nearest;
use crate::config::places::item;
use crate::config::values::{Size, Time};
use crate::config::written;

/// `elsewhere`: whether traffic also comes in over TLS.
pub(super) fn server(written: &written::Server, elsewhere: bool, cx: &mut Context<'_>) -> Server {
    let header_bytes_max = size(cx, "server.header_bytes_max", written.header_bytes_max, 1 << 10, 1 << 20);
    Server {
        listen: public_listeners(&written.listen, elsewhere, cx),
        workers: workers(written.workers, cx),
        trusted_proxies: trusted_proxies(&written.trusted_proxies, cx),
        // pingora gives up on a new connection after a minute.
        header_timeout: cx
            .within("server.header_timeout", written.header_timeout, LEAST_TIME..=Time::secs(60))
            .0,
        keepalive_timeout: time(cx, "server.keepalive_timeout", written.keepalive_timeout),
        read_timeout: time(cx, "server.read_timeout", written.read_timeout),
        write_timeout: time(cx, "server.write_timeout", written.write_timeout),
        header_bytes_max: usize::try_from(header_bytes_max).unwrap_or(usize::MAX),
        target_bytes_max: target_bytes_max(written.target_bytes_max, header_bytes_max, cx),
        body_bytes_max: written.body_bytes_max.0,
        connections_max: count(cx, "server.connections_max", written.connections_max, 1, 10_000_000),
        connections_per_address_max: count(
            cx,
            "server.connections_per_address_max",
            written.connections_per_address_max,
            1,
            10_000_000,
        ),
        upstream_pool: count(cx, "server.upstream_pool", written.upstream_pool, 1, 1_000_000),
        drain_delay: cx
            .within("server.drain_delay", written.drain_delay, Time::secs(0)..=Time::secs(3_600))
            .0,
        drain_timeout: cx
            .within("server.drain_timeout", written.drain_timeout, Time::secs(0)..=Time::secs(86_400))
            .0,
    }
}

/// Shorter than any network's way there and back.
const LEAST_TIME: Time = Time(std::time::Duration::from_millis(10));

/// A time to wait: long enough for a network, short enough to end.
pub(super) fn time(cx: &mut Context<'_>, path: &str, value: Time) -> std::time::Duration {
    cx.within(path, value, LEAST_TIME..=Time::secs(86_400)).0
}

fn size(cx: &mut Context<'_>, path: &str, value: Size, least: u64, most: u64) -> u64 {
    cx.within(path, value, Size(least)..=Size(most)).0
}

/// A number of things.
pub(super) fn count(cx: &mut Context<'_>, path: &str, value: u64, least: u64, most: u64) -> usize {
    usize::try_from(cx.within(path, value, least..=most)).unwrap_or(usize::MAX)
}

fn target_bytes_max(written: Size, header_bytes_max: u64, cx: &mut Context<'_>) -> usize {
    let path = "server.target_bytes_max";
    let bytes = size(cx, path, written, 256, 1 << 20);
    if bytes > header_bytes_max && cx.is_given(path) {
        cx.wrong(
            path,
            "the path cannot be larger than the whole head",
            "raise `server.header_bytes_max`, or lower this",
        );
    }
    usize::try_from(bytes.min(header_bytes_max)).unwrap_or(usize::MAX)
}

fn workers(written: Option<u64>, cx: &mut Context<'_>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    written.map_or_else(cores, |threads| count(cx, "server.workers", threads, 1, 1024))
}

fn public_listeners(written: &[String], elsewhere: bool, cx: &mut Context<'_>) -> Vec<SocketAddr> {
    if written.is_empty() && !elsewhere {
        cx.missing("server.listen", "at least one address is needed", "write `listen = [\"0.0.0.0:8080\"]`");
    }
    listeners("server.listen", written, &[], cx)
}

/// The addresses of the list at `list`; `others` are those that are taken.
pub(super) fn listeners(
    list: &str,
    written: &[String],
    others: &[SocketAddr],
    cx: &mut Context<'_>,
) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let path = item(list, index);
        let Some(address) = listener(&path, text, cx) else { continue };
        if addresses.iter().chain(others).any(|other| overlap(*other, address)) {
            cx.wrong(&path, "this port is already taken by an address before it", "remove one of the two");
        }
        if cx.mode == Mode::Dev && !address.ip().is_loopback() {
            cx.warn(&path, "a development gateway with known secrets can be reached from other machines");
        }
        addresses.push(address);
    }
    addresses
}

pub(super) fn listener(path: &str, text: &str, cx: &mut Context<'_>) -> Option<SocketAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok()).unwrap_or("8080");
        let help =
            format!("write \"0.0.0.0:{port}\" for every network, \"127.0.0.1:{port}\" for this machine");
        cx.wrong(path, "not an address of the form ip:port", help);
    }
    address
}

/// Whether two listeners want the same port. Port 0 is a new port each time.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || (all && one.is_ipv4() == other.is_ipv4()))
}

/// Networks whose word about the client is taken. One that holds everybody would let every client name its own address.
fn trusted_proxies(written: &[String], cx: &mut Context<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let path = item("server.trusted_proxies", index);
        match text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)) {
            None => cx.wrong(&path, "not a network", "write \"10.0.0.0/8\" or \"10.0.0.7\""),
            Some(network) if everybody(&network) => {
                cx.wrong(&path, "this network is everybody: any client could claim any address", HELP_TRUST);
            }
            Some(network) if network != network.trunc() => {
                cx.wrong(
                    &path,
                    "the address has bits outside of the network",
                    format!("write \"{}\"", network.trunc()),
                );
            }
            Some(network) => networks.push(network),
        }
    }
    // Two halves are a whole, too.
    if IpNet::aggregate(&networks).iter().any(everybody) {
        cx.wrong("server.trusted_proxies", "together these networks are everybody", HELP_TRUST);
    }
    networks
}

const HELP_TRUST: &str = "name the networks of your load balancers only";

fn everybody(network: &IpNet) -> bool {
    let mapped =
        |v6: &ipnet::Ipv6Net| v6.prefix_len() <= 96 && v6.contains(&Ipv4Addr::UNSPECIFIED.to_ipv6_mapped());
    match network {
        IpNet::V4(v4) => v4.prefix_len() == 0,
        IpNet::V6(v6) => v6.prefix_len() == 0 || mapped(v6),
    }
}

pub(super) fn log(written: &written::Log, cx: &mut Context<'_>) -> Log {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |text: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text.trim()));
    // A single word is a level or a slip: as the name of a target it would log everything of nothing.
    let slip = written.level.split(',').find(|part| !part.contains('=') && !is_level(part));
    if let Some(word) = slip {
        let help = nearest(word, LEVELS)
            .map_or_else(|| "write \"info\"".into(), |l| format!("did you mean \"{l}\"?"));
        cx.wrong("log.level", "not a level", help);
    } else if EnvFilter::builder().parse(&written.level).is_err() {
        cx.wrong("log.level", "not a filter", "write \"info\" or \"info,wxgate=debug\"");
    }
    Log { format: written.format, level: written.level.clone(), access: written.access }
}
