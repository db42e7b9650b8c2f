//! Bytes as they are: for requests that no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection that is kept.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) async fn open(port: u16) -> Self {
        Self(TcpStream::connect(("127.0.0.1", port)).await.unwrap())
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.0.write_all(bytes.as_ref()).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(30), read_answer(&mut self.0)).await;
        answer.unwrap_or_else(|_| panic!("no answer to {}", bytes.as_ref().escape_ascii()))
    }
}

/// Sends `bytes` to a port of loopback and reads one answer: its head, and as much of its body as it announces.
pub(crate) async fn exchange(port: u16, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(30), read_answer(&mut stream)).await;
    answer.unwrap_or_else(|_| panic!("no answer to {}", bytes.as_ref().escape_ascii()))
}

/// Sends `bytes`, reads one answer, then sends `next` on the same connection and reads until the other side closes: the
/// answer to `bytes`, and whatever came after it.
pub(crate) async fn exchange_and_follow(port: u16, bytes: &str, next: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(30), read_answer(&mut stream)).await;
    let answer = answer.unwrap_or_else(|_| panic!("no answer to {}", bytes.escape_debug()));
    let mut followed = Vec::new();
    if stream.write_all(next.as_bytes()).await.is_ok() {
        // A reset is an end as well.
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut followed)).await;
        assert!(read.is_ok(), "the connection stays open after {}", bytes.escape_debug());
    }
    (answer, String::from_utf8_lossy(&followed).into_owned())
}

/// Sends `bytes` and reads until the other side closes.
pub(crate) async fn exchange_all(port: u16, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open after {}", bytes.as_ref().escape_ascii());
    String::from_utf8_lossy(&answer).into_owned()
}

async fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())
                    .flatten()
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let mut piece = [0; 8192];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return text,
            Ok(n) => answer.extend_from_slice(&piece[..n]),
        }
    }
}
