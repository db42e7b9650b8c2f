//! A service behind the gateway that keeps every byte it receives: the only oracle of what reached it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Records requests and answers each with 200 and a short JSON body, keeping connections alive.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
    answer: Arc<Mutex<Vec<u8>>>,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn request_line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    /// The path and query of the request line.
    pub(crate) fn target(&self) -> &str {
        self.request_line().split(' ').nth(1).unwrap()
    }

    /// Every value of a header, by its exact name in any case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The only value of a header.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in\n{}", self.head);
        all[0]
    }

    /// Header names as PHP and WSGI see them: everything but letters and digits folded to `_`, upper case.
    pub(crate) fn folded_names(&self) -> Vec<String> {
        let names = self.head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name);
        let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        names.map(|name| name.chars().map(fold).collect()).collect()
    }
}

const CLOSE: &[u8] = b"CLOSE";
const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let recorder = Self {
            port,
            seen: Arc::default(),
            connections: Arc::default(),
            answer: Arc::new(Mutex::new(OK.to_vec())),
        };
        let accepting = recorder.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *accepting.connections.lock().unwrap() += 1;
                tokio::spawn(accepting.clone().serve(stream));
            }
        });
        recorder
    }

    /// From now on answers are these bytes; `CLOSE` closes the connection instead.
    pub(crate) fn answer_with(&self, bytes: impl AsRef<[u8]>) {
        *self.answer.lock().unwrap() = bytes.as_ref().to_vec();
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    #[track_caller]
    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a request reached the service")
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut bytes).await {
            self.seen.lock().unwrap().push(request);
            let answer = self.answer.lock().unwrap().clone();
            if answer == CLOSE {
                return;
            }
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

/// Reads one request with a `Content-Length` or chunked body; `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        more(stream, bytes).await?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    bytes.drain(..end + 4);
    let mut seen = Seen { head, body: Vec::new() };
    if let Some(length) = seen.all("content-length").first() {
        let length: usize = length.parse().unwrap();
        while bytes.len() < length {
            more(stream, bytes).await?;
        }
        seen.body = bytes.drain(..length).collect();
    } else if !seen.all("transfer-encoding").is_empty() {
        loop {
            let at = loop {
                if let Some(at) = bytes.windows(2).position(|w| w == b"\r\n") {
                    break at;
                }
                more(stream, bytes).await?;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&bytes[..at]).unwrap().trim(), 16).unwrap();
            while bytes.len() < at + 2 + size + 2 {
                more(stream, bytes).await?;
            }
            seen.body.extend_from_slice(&bytes[at + 2..at + 2 + size]);
            bytes.drain(..at + 2 + size + 2);
            if size == 0 {
                break;
            }
        }
    }
    Some(seen)
}

async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16 * 1024];
    match stream.read(&mut piece).await {
        Ok(0) | Err(_) => None,
        Ok(n) => {
            bytes.extend_from_slice(&piece[..n]);
            Some(())
        }
    }
}
