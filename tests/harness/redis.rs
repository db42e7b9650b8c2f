//! Real Redis servers: each on free ports of this machine, in a directory of its own, ended with its test. The tests of
//! the store in auth-core use this file too.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::free_port;

/// Far longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// How often what cannot be awaited is asked for.
pub(crate) const PACE: Duration = Duration::from_millis(10);

const READY: &str = "Ready to accept connections";
const IN_SYNC: &str = "MASTER <-> REPLICA sync: Finished with success";

/// One `redis-server`.
pub(crate) struct Server {
    pub(crate) port: u16,
    arguments: Vec<String>,
    _directory: tempfile::TempDir,
    process: Child,
    log: Arc<Log>,
}

impl Server {
    /// With more options, `--name value`, and ready. Nothing is saved unless they say so.
    pub(crate) fn start(options: &[&str]) -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
        let (port_text, path) = (port.to_string(), directory.path().display().to_string());
        let plain = ["--port", &port_text, "--save", "", "--bind", "127.0.0.1", "--dir", &path];
        // A replica need not wait for others that might want to be served together with it.
        let at_once = ["--repl-diskless-sync-delay", "0"];
        let arguments = plain.iter().chain(&at_once).chain(options).map(ToString::to_string).collect();
        Self::spawn(port, arguments, directory, READY)
    }

    /// Which follows the master on `port`, and has what that has.
    pub(crate) fn replica(master: u16) -> Self {
        let replica = Self::start(&["--replicaof", "127.0.0.1", &master.to_string()]);
        replica.wait_for(IN_SYNC, 1);
        replica
    }

    /// A Sentinel of the master on `port`, named `shop`.
    pub(crate) fn sentinel(master: u16, quorum: usize, options: &str) -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
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

    fn spawn(port: u16, arguments: Vec<String>, directory: tempfile::TempDir, ready: &str) -> Self {
        let (process, log) = spawn(&arguments);
        let server = Self { port, arguments, _directory: directory, process, log };
        server.wait_for(ready, 1);
        server
    }

    /// Waits until it has logged this so many times since it was last started.
    fn wait_for(&self, what: &str, times: usize) {
        self.log.wait_for(what, times);
    }

    /// As if the machine had lost its power.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// On the same port and in the same directory.
    pub(crate) fn restart(&mut self) {
        (self.process, self.log) = spawn(&self.arguments);
        self.wait_for(READY, 1);
    }

    /// Stops it where it stands, or lets it go on.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// What `redis-cli` says to a command.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        redis_cli(&[&["-p", &port], arguments].concat()).trim_end().to_owned()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A master, its replica, and Sentinels that watch them.
pub(crate) struct Watched {
    pub(crate) master: Server,
    pub(crate) replica: Server,
    sentinels: Vec<Server>,
}

impl Watched {
    /// The most of the Sentinels must agree that a master is gone.
    pub(crate) fn start(sentinels: usize) -> Self {
        let master = Server::start(&[]);
        let replica = Server::replica(master.port);
        let quorum = sentinels / 2 + 1;
        let sentinels: Vec<_> = (0..sentinels).map(|_| Server::sentinel(master.port, quorum, "")).collect();
        for sentinel in &sentinels {
            sentinel.wait_for("+slave slave", 1);
            sentinel.wait_for("+sentinel sentinel", sentinels.len() - 1);
        }
        Self { master, replica, sentinels }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis-sentinel://{}/shop", addresses(&self.sentinels).join(","))
    }
}

/// Three masters.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let nodes: Vec<_> = (0..3).map(|_| Self::node()).collect();
        let addresses = addresses(&nodes);
        let mut create = vec!["--cluster", "create"];
        create.extend(addresses.iter().map(String::as_str));
        create.extend(["--cluster-replicas", "0", "--cluster-yes"]);
        redis_cli(&create);
        let end = Instant::now() + DEADLINE;
        while !nodes.iter().all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")) {
            assert!(Instant::now() < end, "{}", nodes[0].cli(&["CLUSTER", "NODES"]));
            std::thread::sleep(PACE);
        }
        Self { nodes }
    }

    fn node() -> Server {
        let bus = free_port().to_string();
        Server::start(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &bus])
    }

    /// A replica of the first master, that has what that has.
    pub(crate) fn replica(&self) -> Server {
        let (replica, first) = (Self::node(), &self.nodes[0]);
        let id = first.cli(&["CLUSTER", "MYID"]);
        let (new, old) = (replica.address(), first.address());
        redis_cli(&["--cluster", "add-node", &new, &old, "--cluster-slave", "--cluster-master-id", &id]);
        replica.wait_for(IN_SYNC, 1);
        replica
    }

    pub(crate) fn url(&self) -> String {
        format!("redis-cluster://{}", addresses(&self.nodes).join(","))
    }
}

fn addresses(servers: &[Server]) -> Vec<String> {
    servers.iter().map(Server::address).collect()
}

pub(crate) fn redis_cli(arguments: &[&str]) -> String {
    let output = Command::new("redis-cli").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
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
