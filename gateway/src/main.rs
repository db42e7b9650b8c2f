//! `wxgate`: stands in front of HTTP services and turns WeChat Mini Program traffic into authenticated traffic.

mod cli;
mod config;
mod logging;
mod server;
mod snapshot;

mod proxy;
mod target;
mod framing;
mod address;
mod context;
mod in_flight;
mod connection;
mod front;
mod steps;
mod websocket;
mod endpoints;
mod budget;
mod denied;
mod reply;

mod admin;
mod metrics;

mod sim;
mod dev;

use std::process::ExitCode;

/// Together with fat LTO this saves more than a quarter of the CPU time of a proxied request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
