//! One process under test: its output goes to files, and is shown when the test fails.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::secrets;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) fn wxgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxgate"));
    command.env_remove("WXGATE_CONFIG");
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (id, (ended, wait)) = (child.id().to_string(), std::sync::mpsc::channel::<()>());
    // A gateway that starts although it should not would hold up the test for ever.
    let watch = std::thread::spawn(move || {
        if wait.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-s", "KILL", &id]).status();
        }
    });
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    drop(ended);
    watch.join().unwrap();
    output
}

/// A running process. Ended, by its id, when it is dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    stdout: PathBuf,
}

impl Process {
    /// Starts `command`; its output goes to files in `folder`.
    pub(crate) fn start(name: &str, command: &mut Command, folder: &Path) -> Self {
        let number = (0..).find(|n| !folder.join(format!("{name}.{n}.err")).exists()).unwrap();
        let (log, stdout) =
            (folder.join(format!("{name}.{number}.err")), folder.join(format!("{name}.{number}.out")));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { name: name.to_owned(), child, log, stdout }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// What it wrote to standard output: for the gateway, the access log.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.stdout).unwrap()).into_owned()
    }

    /// Waits until a line of standard output satisfies `wanted`.
    pub(crate) async fn wait_for_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.stdout().lines().find(|line| wanted(line)) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "{} never wrote the line", self.name);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until standard error has `text`.
    pub(crate) async fn wait_for_log(&self, text: &str) {
        self.wait_for_log_times(text, 1).await;
    }

    /// Waits until standard error has `text` so many times.
    pub(crate) async fn wait_for_log_times(&self, text: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches(text).count() < times {
            assert!(Instant::now() < deadline, "{} never logged {text:?}", self.name);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The noted secrets that it wrote, to either output.
    pub(crate) fn secrets_written(&self) -> BTreeSet<String> {
        &secrets::found_in(&self.log()) | &secrets::found_in(&self.stdout())
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = run(Command::new("kill").args(["-s", signal, &self.id().to_string()]));
        assert!(sent.status.success(), "{sent:?}");
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let (log, stdout) = (self.log(), self.stdout());
        if std::thread::panicking() {
            eprintln!("---- {} standard output ----\n{}", self.name, tail(&stdout));
            eprintln!("---- {} standard error ----\n{}", self.name, tail(&log));
            return;
        }
        for text in [&log, &stdout] {
            let found = secrets::found_in(text);
            let lines: Vec<_> = text.lines().filter(|line| !secrets::found_in(line).is_empty()).collect();
            assert!(found.is_empty(), "{} wrote secrets {found:?}:\n{}", self.name, tail(&lines.join("\n")));
        }
        assert!(!log.contains("panicked at"), "{} panicked:\n{}", self.name, tail(&log));
    }
}

/// The end of a log: what a failure is usually about.
fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(16 * 1024);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}
