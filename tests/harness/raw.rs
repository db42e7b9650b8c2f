//! Bytes as they are: for requests that no client library would send.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::secrets;

/// One connection that is kept.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) async fn open(port: u16) -> Self {
        Self(TcpStream::connect(("127.0.0.1", port)).await.unwrap())
    }

    /// An open WebSocket at `/ws`, whose service takes it.
    pub(crate) async fn websocket(port: u16, token: &str) -> Self {
        let mut socket = Self::open(port).await;
        let answer = socket
            .ask(format!(
                "GET /ws HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Authorization: Bearer {token}\r\n\r\n"
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        socket
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends `piece` again and again until the other side takes no more; how many bytes it took.
    pub(crate) async fn send_until_closed(&mut self, piece: &[u8]) -> u64 {
        let sending = async {
            let mut sent = 0;
            while self.0.write_all(piece).await.is_ok() {
                sent += piece.len() as u64;
            }
            sent
        };
        tokio::time::timeout(Duration::from_secs(30), sending).await.expect("the other side closes")
    }

    /// What comes until the other side closes.
    pub(crate) async fn rest(&mut self) -> String {
        String::from_utf8_lossy(&self.rest_bytes().await).into_owned()
    }

    /// What comes until the other side closes, as bytes.
    pub(crate) async fn rest_bytes(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let read = tokio::time::timeout(Duration::from_secs(30), self.0.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "the connection stays open after {}", rest.escape_ascii());
        rest
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
    Connection::open(port).await.ask(bytes).await
}

/// The same from an address of one's own, such as `127.0.9.9`: all of 127.0.0.0/8 is this machine.
pub(crate) async fn exchange_from(address: &str, port: u16, bytes: impl AsRef<[u8]>) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address.parse::<Ipv4Addr>().unwrap(), 0).into()).unwrap();
    Connection(socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.unwrap()).ask(bytes).await
}

/// Sends `bytes`, reads one answer, then sends `next` on the same connection and reads until the other side closes: the
/// answer to `bytes`, and whatever came after it.
pub(crate) async fn exchange_and_follow(port: u16, bytes: impl AsRef<[u8]>, next: &str) -> (String, String) {
    let mut connection = Connection::open(port).await;
    let answer = connection.ask(bytes).await;
    let followed = match connection.0.write_all(next.as_bytes()).await {
        Ok(()) => connection.rest().await,
        Err(_) => String::new(),
    };
    (answer, followed)
}

/// Sends `bytes` and reads until the other side closes.
pub(crate) async fn exchange_all(port: u16, bytes: impl AsRef<[u8]>) -> String {
    let mut connection = Connection::open(port).await;
    // Whoever has read enough may close before the end.
    let _ = connection.0.write_all(bytes.as_ref()).await;
    connection.rest().await
}

pub(super) async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
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
                is_without_secrets(&text);
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

/// No refusal repeats what it was asked with.
fn is_without_secrets(answer: &str) {
    if answer.to_ascii_lowercase().contains("\r\nx-wxgate-error: ") {
        let found = secrets::found_in(answer);
        assert!(found.is_empty(), "a refusal shows secrets {found:?}: {answer}");
    }
}
