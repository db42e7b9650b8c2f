//! Everything of the program but its `main`, so that what reads input can be driven without a process around it. No API:
//! who needs the parts, needs them as they are now.

mod cli;
mod config;
mod logging;
mod server;
mod snapshot;
mod live;

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
mod renewal;
mod assertion;

mod admin;
mod metrics;

mod sim;
mod dev;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;

pub use cli::run;
