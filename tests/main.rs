//! Table of contents of the end-to-end tests. Each drives the real `wxgate` binary over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says where, and shows the logs"
)]

mod harness;

mod login;
mod wechat_answers;
mod tokens;
mod sessions;
mod renewal;
mod routing;
mod headers;
mod failing_services;
mod streaming;
mod websocket;
mod concurrency;
mod restarts;
mod killed;
mod full_disk;
mod reload;
mod nodes;
mod admin;
mod operators;
mod session_data;
mod config_files;
mod command_line;
mod dev;
mod security;
mod real_services;
mod backends;
mod miniprogram;

mod readme;
mod documents;
mod errcodes;
mod layering;
mod dependencies;
