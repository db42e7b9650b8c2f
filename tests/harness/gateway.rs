//! The gateway as a process, and a client for it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::{PATIENCE, Process, wxgate};
use super::simulator::App;
use super::tls::Certificates;
use super::{MERCHANT, Recorder, SHOP, Simulator, found_in, free_port, secret};

/// A config file in the making. Two apps, a memory store and the simulator are in it from the start.
pub(crate) struct Config {
    pub(crate) head: String,
    pub(crate) routes: String,
    pub(crate) upstreams: String,
    pub(crate) apps: String,
    pub(crate) tls: Option<Certificates>,
    /// Where WeChat is; else at the simulator.
    pub(crate) wechat: Option<String>,
    /// Variables of the process.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Config {
    /// Routes in TOML, to the upstream `service` on this port.
    pub(crate) fn new(service: u16, routes: &str) -> Self {
        let app = |app: &App| {
            format!(
                "[app.{}]\nappid = \"{}\"\nsecret = {{ env = \"SECRET_{}\" }}\n",
                app.name, app.appid, app.name
            )
        };
        Self {
            head: "[store]\nkind = \"memory\"\n".to_owned(),
            routes: routes.to_owned(),
            upstreams: format!("[upstream.service]\nservers = [\"127.0.0.1:{service}\"]\n"),
            apps: format!("{}{}", app(&SHOP), app(&MERCHANT)),
            tls: None,
            wechat: None,
            environment: Vec::new(),
        }
    }

    /// More sections.
    pub(crate) fn with(mut self, sections: &str) -> Self {
        self.head.push_str(sections);
        self
    }

    /// A listener for TLS beside the plain one, with a certificate for `gw.test`, `a.test` and `*.a.test`, and one for
    /// `b.test`.
    pub(crate) fn with_tls(self) -> Self {
        self.with_certificates(Certificates::of(&[&["gw.test", "a.test", "*.a.test"], &["b.test"]]))
    }

    pub(crate) fn with_certificates(mut self, certificates: Certificates) -> Self {
        self.head.push_str(&certificates.section());
        self.tls = Some(certificates);
        self
    }

    /// Instead of the simulator.
    pub(crate) fn with_wechat(mut self, url: String) -> Self {
        self.wechat = Some(url);
        self
    }

    /// One more variable of the process.
    pub(crate) fn with_variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// A credential for the operator: [`ADMIN_TOKEN`], in a file.
    pub(crate) fn with_operator(self) -> Self {
        self.with("[admin]\ntoken = { file = \"admin-token\" }\n")
    }

    /// Instead of the memory store and whatever else stands before the apps.
    pub(crate) fn with_head(mut self, head: &str) -> Self {
        self.head = head.to_owned();
        self
    }
}

/// A route for tests that are about something else.
pub(crate) const ROUTES: &str = r#"
[[route]]
path = "/api/*"
upstream = "service"
[[route]]
path = "/public/*"
upstream = "service"
auth = "none"
[[route]]
path = "/opt/*"
upstream = "service"
auth = "optional"
[[route]]
path = "/lenient/*"
upstream = "service"
auth = "lenient"
[[route]]
path = "/merchant/*"
upstream = "service"
apps = ["merchant"]
[[route]]
path = "/internal/*"
auth = "deny"
"#;

/// The most that an operator can turn on: each crate that has ever seen a secret, by name.
const LOUDEST: &str = "trace,pingora_proxy=trace,pingora_core=trace,hyper=trace,hyper_util=trace,reqwest=trace,h2=trace,\
                       rustls=trace,axum=trace,tower=trace,redb=trace,redis=trace";

/// A running gateway with its simulator. What it logs, shows in its metrics and answers to raw requests is searched for
/// secrets.
pub(crate) struct Gateway {
    pub(crate) port: u16,
    pub(crate) admin_port: u16,
    pub(crate) simulator: Simulator,
    pub(crate) client: reqwest::Client,
    pub(crate) process: Process,
    pub(crate) tls: Option<Certificates>,
    environment: Vec<(&'static str, String)>,
    /// Last, so that it outlives the processes that write into it.
    pub(crate) folder: TempDir,
}

impl Gateway {
    /// With the usual routes, before a recorder.
    pub(crate) async fn before_recorder() -> (Self, Recorder) {
        let recorder = Recorder::start().await;
        (Self::start(Config::new(recorder.port, ROUTES)).await, recorder)
    }

    pub(crate) async fn start(config: Config) -> Self {
        let folder = TempDir::with_prefix("wxgate-test").unwrap();
        let simulator = Simulator::start(folder.path()).await;
        let (port, admin_port) = (free_port(), free_port());
        write_key_file(&folder.path().join("key"), KEY);
        write_key_file(&folder.path().join("admin-token"), ADMIN_TOKEN);
        let text = format!(
            "version = 1\n[server]\nlisten = [\"127.0.0.1:{port}\"]\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:{admin_port}\"\n\
             [wechat]\nbase_urls = [\"{}\"]\n{}{}{}{}",
            config.wechat.unwrap_or_else(|| simulator.url()),
            config.head,
            config.apps,
            config.upstreams,
            config.routes
        );
        let text = if text.contains("\nlevel = ") {
            text
        } else {
            format!("{text}\n[log]\nlevel = \"{LOUDEST}\"\n")
        };
        // One section may be given twice by the test and by the harness: the test's keys go into the harness's.
        let text = with_store_key(with_key(&merge_sections(&text)), folder.path());
        std::fs::write(folder.path().join("wxgate.toml"), text).unwrap();
        if let Some(certificates) = &config.tls {
            certificates.write(folder.path());
        }
        let process = spawn(folder.path(), &config.environment, &[]);
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let (tls, environment) = (config.tls, config.environment);
        let mut gateway = Self { port, admin_port, simulator, client, process, tls, environment, folder };
        gateway.wait_until("/readyz").await;
        gateway
    }

    /// With the usual routes, before a recorder, over TLS as well.
    pub(crate) async fn with_tls_before_recorder() -> (Self, Recorder) {
        let recorder = Recorder::start().await;
        (Self::start(Config::new(recorder.port, ROUTES).with_tls()).await, recorder)
    }

    /// The port of the listener for TLS.
    pub(crate) fn tls_port(&self) -> u16 {
        self.tls.as_ref().expect("the gateway listens for TLS").port
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.folder.path().join("wxgate.toml")
    }

    /// Ends the process with `signal` and starts it again over the same folder.
    pub(crate) async fn restart(&mut self, signal: &str) {
        self.process.signal(signal);
        self.process.end().await;
        self.start_again().await;
    }

    pub(crate) async fn start_again(&mut self) {
        self.start_again_under(&[]).await;
    }

    /// Starts it again by a program that becomes it, such as `env`.
    pub(crate) async fn start_again_under(&mut self, launcher: &[&str]) {
        self.process = spawn(self.folder.path(), &self.environment, launcher);
        self.wait_until("/readyz").await;
    }

    /// Starts it again, and does not wait until it is ready.
    pub(crate) fn begin_to_start_again(&mut self) {
        self.process = spawn(self.folder.path(), &self.environment, &[]);
    }

    /// Starts it again and waits until it takes requests, ready or not.
    pub(crate) async fn start_again_unready(&mut self) {
        self.process = spawn(self.folder.path(), &self.environment, &[]);
        self.wait_until("/livez").await;
    }

    /// Waits until the private listener says 200 there, and the public one is open.
    async fn wait_until(&mut self, health: &str) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let ready = self.client.get(self.admin_url(health)).send().await;
            let open = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await;
            if ready.is_ok_and(|ready| ready.status() == 200) && open.is_ok() {
                return;
            }
            let ended = self.process.ended();
            assert!(ended.is_none(), "the gateway ended: {ended:?}\n{}", self.process.log());
            assert!(std::time::Instant::now() < deadline, "the gateway does not come up: {health}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin_port)
    }

    /// What the operator asks of the private listener: status and answer.
    pub(crate) async fn operate(&self, method: &str, path: &str) -> (u16, Value) {
        self.operate_with(ADMIN_TOKEN, method, path).await
    }

    /// The same with another credential.
    pub(crate) async fn operate_with(&self, token: &str, method: &str, path: &str) -> (u16, Value) {
        let request = self.client.request(method.parse().unwrap(), self.admin_url(path)).bearer_auth(token);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let found = found_in(&text);
        assert!(found.is_empty(), "{method} {path} shows {found:?}: {text}");
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    /// A GET with this token.
    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Response {
        self.get(path).bearer_auth(token).send().await.unwrap()
    }

    /// Logs `user` in at `app` and returns the token.
    pub(crate) async fn log_in(&self, app: &App, user: &str) -> String {
        let code = self.simulator.code(app, user).await;
        let answer = self.login(json!({ "code": code, "appid": app.appid })).await;
        assert_eq!(answer.0, 200, "{}", answer.1);
        answer.1["token"].as_str().unwrap().to_owned()
    }

    /// `POST /login` with a JSON body: status and answer.
    pub(crate) async fn login(&self, body: Value) -> (u16, Value) {
        let answer = self.post("/login").json(&body).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
        if let Some(token) = answer["token"].as_str() {
            secret(token);
        }
        (status, answer)
    }

    pub(crate) async fn metrics(&self) -> String {
        self.client.get(self.admin_url("/metrics")).send().await.unwrap().text().await.unwrap()
    }
}

impl Drop for Gateway {
    /// While it still runs: what its metrics show.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let metrics = self.metrics_at_the_end().unwrap_or_default();
        let found = found_in(&metrics);
        assert!(found.is_empty(), "the metrics show secrets {found:?}:\n{metrics}");
    }
}

impl Gateway {
    /// Without the runtime, which may be gone by now. Nothing if the process is.
    fn metrics_at_the_end(&self) -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.admin_port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// The HS256 key of the tests.
pub(crate) const KEY: &str = "3nD4x7cW0rkAbLeQ9zP2mVtY6uHs8JfKgR5oLi1EaXw";

/// The operator's credential of the tests.
pub(crate) const ADMIN_TOKEN: &str = "uB4sX8kQz2WvJc6Tn9RyLm3Hd7PgFa5eKo1iVwEbGxM";

/// The key of the tests that seals.
pub(crate) const STORE_KEY: &str = "Vb0RkT7yQe2uWc9sZx4nHm6jLp1aGd8fIo3EJt5BrSg=";

/// Writes a key where only we may read it.
pub(crate) fn write_key_file(file: &Path, key: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).unwrap();
    file.write_all(secret(key).as_bytes()).unwrap();
}

fn spawn(folder: &Path, environment: &[(&str, String)], launcher: &[&str]) -> Process {
    let mut command = wxgate();
    if let [program, arguments @ ..] = launcher {
        let wxgate = command.get_program().to_owned();
        command = Command::new(program);
        command.env_remove("WXGATE_CONFIG").args(arguments).arg(wxgate);
    }
    command.current_dir(folder).args(["run", "--config", "wxgate.toml"]);
    for app in [SHOP, MERCHANT] {
        command.env(format!("SECRET_{}", app.name), app.secret);
    }
    // A proxy in the environment must not be given the AppSecret.
    command.env("HTTPS_PROXY", "http://127.0.0.1:9").env("HTTP_PROXY", "http://127.0.0.1:9");
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    Process::start("gateway", &mut command, folder)
}

/// Moves the keys of a section's second appearance into its first.
fn merge_sections(text: &str) -> String {
    let mut sections: Vec<(String, String)> = vec![(String::new(), String::new())];
    for line in text.lines() {
        let is_header = line.starts_with('[');
        if is_header && !line.starts_with("[[") {
            if let Some(at) = sections.iter().position(|(header, _)| header == line) {
                let section = sections.remove(at);
                sections.push(section);
            } else {
                sections.push((line.to_owned(), String::new()));
            }
        } else if is_header {
            sections.push((line.to_owned(), String::new()));
        } else {
            let section = &mut sections.last_mut().unwrap().1;
            section.push_str(line);
            section.push('\n');
        }
    }
    sections.into_iter().map(|(header, body)| format!("{header}\n{body}")).collect()
}

fn with_key(text: &str) -> String {
    if text.contains("\n[token]\n") {
        let key = "\n[token]\nkeys = [{ kid = \"test\", file = \"key\" }]\n";
        if text.contains("keys = [") { text.to_owned() } else { text.replacen("\n[token]\n", key, 1) }
    } else {
        format!("{text}\n[token]\nkeys = [{{ kid = \"test\", file = \"key\" }}]\n")
    }
}

/// A store in a file has a key; the test's own, if it names one.
fn with_store_key(text: String, folder: &Path) -> String {
    let of_store = text.split("\n[store]\n").nth(1).and_then(|rest| rest.split("\n[").next());
    if of_store.is_some_and(|lines| lines.contains("\"memory\"") || lines.contains("keys = ")) {
        return text;
    }
    write_key_file(&folder.join("store.key"), STORE_KEY);
    let keys = "\n[store]\nkeys = [{ kid = \"test\", file = \"store.key\" }]\n";
    if of_store.is_some() { text.replacen("\n[store]\n", keys, 1) } else { text + keys }
}
