//! nginx and Python behind the gateway: what they are used to must still work.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Config, Gateway, Process, SHOP, free_port, run};

const ROUTES: &str = "[[route]]\npath = \"/files/*\"\nupstream = \"service\"\n";

/// Waits until something listens.
async fn wait_for(port: u16) {
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// An nginx that serves files below `folder` and takes them by PUT.
async fn nginx(folder: &Path) -> (Process, u16) {
    let port = free_port();
    std::fs::create_dir_all(folder.join("files")).unwrap();
    std::fs::create_dir_all(folder.join("tmp")).unwrap();
    let conf = format!(
        "pid nginx.pid;\nerror_log nginx.log;\nmaster_process off;\ndaemon off;\nevents {{ worker_connections 512; }}\n\
         {user}http {{ access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp;\n\
         scgi_temp_path tmp; client_max_body_size 0;\n\
         server {{ listen 127.0.0.1:{port}; root {root}; dav_methods PUT; create_full_put_path on; }} }}\n",
        // nginx started by root gives up its rights, and with them the way into this folder. One process, so that one id ends it.
        user = if run(Command::new("id").arg("-u")).stdout == b"0\n" { "user root;\n" } else { "" },
        root = folder.display(),
    );
    std::fs::write(folder.join("nginx.conf"), conf).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "nginx.log"]);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let process = Process::start("nginx", &mut command, folder);
    wait_for(port).await;
    (process, port)
}

/// 200 MiB that compress and repeat badly.
fn write_large_file(path: &Path) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..200 * 1024 * 1024 / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}

#[tokio::test]
async fn two_hundred_mebibytes_pass_both_ways_byte_for_byte_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (_nginx, port) = nginx(folder.path()).await;
    let gateway = Gateway::start(Config::new(port, ROUTES)).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let large = folder.path().join("large");
    write_large_file(&large);
    let before = gateway.process.resident_bytes();
    let mut highest = before;
    let back = folder.path().join("back");
    let curl = |arguments: &[&str]| {
        let mut command = tokio::process::Command::new("curl");
        command.args(["-sS", "--fail", "-H", &format!("Authorization: Bearer {token}")]).args(arguments);
        command.kill_on_drop(true);
        command
    };
    let url = gateway.url("/files/large");
    for arguments in [
        vec!["-T", large.to_str().unwrap(), &url],
        // Without a length it goes in chunks.
        vec!["-T", large.to_str().unwrap(), "-H", "Transfer-Encoding: chunked", "-H", "Expect:", &url],
        vec!["-o", back.to_str().unwrap(), &url],
    ] {
        let mut transfer = curl(&arguments).spawn().unwrap();
        let status = loop {
            if let Some(status) = transfer.try_wait().unwrap() {
                break status;
            }
            highest = highest.max(gateway.process.resident_bytes());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        };
        assert!(status.success(), "{arguments:?}: {status}");
        assert!(run(Command::new("cmp").arg(&large).arg(folder.path().join("files/large"))).status.success());
    }
    assert!(run(Command::new("cmp").arg(&large).arg(&back)).status.success());
    let grown = highest - before;
    assert!(grown < 64 * 1024 * 1024, "the gateway grew by {grown} bytes");
}

#[tokio::test]
async fn nginx_keeps_its_connections_and_its_own_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (_nginx, port) = nginx(folder.path()).await;
    let gateway = Gateway::start(Config::new(port, ROUTES)).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    std::fs::write(folder.path().join("files/a.txt"), "hello").unwrap();
    for _ in 0..50 {
        let answer = gateway.get_as(&token, "/files/a.txt").await;
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "hello"));
    }
    let part =
        gateway.get("/files/a.txt").bearer_auth(&token).header("Range", "bytes=1-2").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.text().await.unwrap().as_str()), (206, "el"));
    let missing = gateway.get_as(&token, "/files/none").await;
    assert_eq!(missing.status(), 404);
    assert!(!missing.headers().contains_key("x-wxgate-error"), "the service's 404 is the service's");
    let head = gateway.client.head(gateway.url("/files/a.txt")).bearer_auth(&token).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &"5".parse().unwrap()));
    let established = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let to_nginx = format!("0100007F:{port:04X} 01");
    let open = established
        .lines()
        .filter(|line| line.split_whitespace().skip(2).take(2).collect::<Vec<_>>().join(" ") == to_nginx)
        .count();
    assert!((1..=4).contains(&open), "{open} connections to nginx for 53 requests, one after the other");
}

/// Sends an event, and the next one only when it is told to.
const PYTHON: &str = r#"
import http.server, sys, threading
go = threading.Semaphore(0)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("X-Saw-Openid", self.headers.get("X-WX-OPENID", ""))
        self.end_headers()
        for n in range(10):
            self.wfile.write(f"data: {n}\n\n".encode())
            self.wfile.flush()
            go.acquire()
        self.close_connection = True
    def do_POST(self):
        go.release()
        self.send_response(204)
        self.end_headers()
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

#[tokio::test]
async fn events_of_a_python_service_arrive_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    std::fs::write(folder.path().join("service.py"), PYTHON).unwrap();
    let mut command = Command::new("python3");
    command.arg(folder.path().join("service.py")).arg(port.to_string());
    let _python = Process::start("python", &mut command, folder.path());
    wait_for(port).await;
    let gateway = Gateway::start(Config::new(port, ROUTES)).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    let request =
        format!("GET /files/events HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    for n in 0..10 {
        while !text.contains(&format!("data: {n}\n\n")) {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "the connection ended after {text:?}");
            text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
        assert!(!text.contains(&format!("data: {}\n\n", n + 1)));
        let told = gateway.post("/files/go").bearer_auth(&token).send().await.unwrap();
        assert_eq!(told.status(), 204);
    }
    let saw = text.lines().find(|line| line.to_ascii_lowercase().starts_with("x-saw-openid: o"));
    assert!(saw.is_some(), "the service was not told the openid: {text}");
}
