//! Starts things, acts as someone, shows the logs when a test fails.

mod process;
pub(crate) mod gateway;
mod simulator;
mod tls_wechat;
mod service;
mod numbers;
mod outcome;
mod ports;
mod secrets;
mod raw;
pub(crate) mod tls;
pub(crate) mod h2;
pub(crate) mod hello;
pub(crate) mod tokens;
mod keys;
pub(crate) mod redis;
mod nodes;

pub(crate) use gateway::{Config, Gateway};
pub(crate) use keys::KeyFile;
pub(crate) use nodes::Nodes;
pub(crate) use numbers::{Numbers, seed};
pub(crate) use outcome::Outcome;
pub(crate) use ports::free_port;
pub(crate) use process::{PATIENCE, Process, run, wxgate};
pub(crate) use raw::{Connection, exchange, exchange_all, exchange_and_follow, exchange_from};
pub(crate) use secrets::{found_in, secret};
pub(crate) use service::{Recorder, Script, Seen};
pub(crate) use simulator::{App, MERCHANT, SHOP, Simulator};
pub(crate) use tls_wechat::{Certificate, TlsWechat};

use std::path::PathBuf;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace").to_owned()
}

/// Every file of Rust below these folders of the repository.
pub(crate) fn sources(folders: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() >= 10, "{folders:?} have only {} files", found.len());
    found
}
