//! Real Redis servers for the tests: each on free ports of this machine, in a directory of its own, ended with its test.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::super::{RedisSettings, RedisStore};
use crate::ManualClock;
use crate::session::{Seal, SealKey};

/// Far longer than anything here takes on a busy machine.
pub(in crate::session) const DEADLINE: Duration = Duration::from_secs(60);

/// How often what cannot be awaited is asked for.
pub(super) const PACE: Duration = Duration::from_millis(10);

/// One `redis-server`.
pub(in crate::session) struct Server {
    pub(in crate::session) port: u16,
    arguments: Vec<String>,
    _directory: tempfile::TempDir,
    process: Child,
    log: Arc<Log>,
}

impl Server {
    /// With more options, `--name value`, and ready.
    pub(in crate::session) fn start(options: &[&str]) -> Self {
        let port = free_port();
        let port_text = port.to_string();
        let plain = ["--port", &port_text, "--save", ""];
        Self::run(port, &[&plain[..], options].concat(), "Ready to accept connections")
    }

    /// A Sentinel of the master on `port`, named `shop`.
    pub(super) fn sentinel(master: u16, quorum: usize, options: &str) -> Self {
        let port = free_port();
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor shop 127.0.0.1 {master} {quorum}\n\
             sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 5000\n{options}\n",
            directory.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let arguments = vec![config.display().to_string(), "--sentinel".to_owned()];
        Self::spawn(port, arguments, directory, "+monitor master")
    }

    /// A node of a cluster that is still to be made.
    pub(super) fn node() -> Self {
        let bus = free_port().to_string();
        let cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &bus];
        Self::start(&cluster)
    }

    fn run(port: u16, options: &[&str], ready: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = options.iter().map(ToString::to_string).collect();
        let path = directory.path().display().to_string();
        arguments.extend(["--bind", "127.0.0.1", "--dir", &path].map(str::to_owned));
        Self::spawn(port, arguments, directory, ready)
    }

    fn spawn(port: u16, arguments: Vec<String>, directory: tempfile::TempDir, ready: &str) -> Self {
        let (process, log) = spawn(&arguments);
        let server = Self { port, arguments, _directory: directory, process, log };
        server.wait_for(ready);
        server
    }

    /// Waits until it has logged this since it was last started.
    pub(super) fn wait_for(&self, what: &str) {
        self.log.wait_for(what, 1);
    }

    /// As `wait_for`, so many times.
    pub(super) fn wait_for_times(&self, what: &str, times: usize) {
        self.log.wait_for(what, times);
    }

    /// As if the machine had lost its power.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// On the same port and in the same directory.
    pub(super) fn restart(&mut self) {
        (self.process, self.log) = spawn(&self.arguments);
        self.wait_for("Ready to accept connections");
    }

    /// Stops it where it stands, or lets it go on.
    pub(super) fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// What `redis-cli` says to a command.
    pub(super) fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said.trim_end().to_owned()
    }

    pub(in crate::session) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A store in it, for which it is `now`.
    pub(in crate::session) fn store(&self, now: u64) -> RedisStore {
        store(&settings(&self.url()), now)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn settings(url: &str) -> RedisSettings {
    RedisSettings::new(url.parse().unwrap())
}

pub(super) fn store(settings: &RedisSettings, now: u64) -> RedisStore {
    RedisStore::open(settings, seal(), Arc::new(ManualClock::at(now))).unwrap()
}

/// A port that nobody had a moment ago.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(arguments: &[String]) -> (Child, Arc<Log>) {
    let mut command = Command::new("redis-server");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().expect("redis-server is installed: tests/run.sh does that");
    let log = Arc::new(Log::default());
    let (output, theirs) = (process.stdout.take().unwrap(), Arc::clone(&log));
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            theirs.lines.lock().unwrap().push(line);
            theirs.grown.notify_all();
        }
        theirs.lines.lock().unwrap().push("(it has ended)".to_owned());
        theirs.grown.notify_all();
    });
    (process, log)
}

/// What a server has logged.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Log {
    fn wait_for(&self, what: &str, times: usize) {
        let end = Instant::now() + DEADLINE;
        let mut lines = self.lines.lock().unwrap();
        while lines.iter().filter(|line| line.contains(what)).count() < times {
            let left = end.saturating_duration_since(Instant::now());
            let ended = lines.last().is_some_and(|line| line == "(it has ended)");
            assert!(!left.is_zero() && !ended, "no {what:?} in its log:\n{}", lines.join("\n"));
            lines = self.grown.wait_timeout(lines, left).unwrap().0;
        }
    }
}

/// The same for every store of a test, as nodes that share a server share it.
pub(crate) fn seal() -> Seal {
    let key = b"9f3c5a7e1d2b48f6a0c4e8137b5d9f2e6a1c3b5d7f9e0a2c4b6d8f1e3a5c7b9d";
    Seal::new(vec![SealKey::parse("test", key).unwrap()]).unwrap()
}
