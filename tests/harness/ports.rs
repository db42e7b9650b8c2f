//! Ports of loopback for processes under test.

use std::net::{Ipv6Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to clients: none of the thousands of connections of the tests takes one of these between
/// the look and the listening.
const FIRST: u16 = 10_240;
const COUNT: u16 = 20_000;

/// A port that nobody listens on, and that no other test of this process is given.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two runs at a time on one machine begin at different places.
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    loop {
        let port = FIRST + (start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))) % COUNT;
        let free = |address: std::net::IpAddr| TcpListener::bind((address, port)).is_ok();
        if free(std::net::Ipv4Addr::LOCALHOST.into()) && free(Ipv6Addr::UNSPECIFIED.into()) {
            return port;
        }
    }
}
