//! Free ports on loopback, none handed out twice in one run.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::{Mutex, OnceLock};

pub(crate) fn free_port() -> u16 {
    static TAKEN: OnceLock<Mutex<HashSet<u16>>> = OnceLock::new();
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if TAKEN.get_or_init(Mutex::default).lock().unwrap().insert(port) {
            return port;
        }
    }
}
