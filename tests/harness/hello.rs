//! The first message of a TLS handshake, in bytes, for what no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client of TLS 1.2, whose server answers in plain text up to its keys (RFC 5246 §7.4).
#[derive(Clone)]
pub(crate) struct ClientHello<'a> {
    pub(crate) version: u16,
    pub(crate) suites: &'a [u16],
    pub(crate) name: Option<&'a [u8]>,
}

/// ECDHE with ECDSA, AES-128-GCM.
pub(crate) const MODERN: u16 = 0xc02b;

/// How a server answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HelloAnswer {
    /// What it says up to the certificate and its own keys.
    Served(Vec<u8>),
    Alert(u8),
    Closed,
}

impl HelloAnswer {
    /// Whether the certificate that was shown has this name in it.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        matches!(self, Self::Served(bytes) if bytes.windows(name.len()).any(|part| part == name.as_bytes()))
    }
}

impl Default for ClientHello<'_> {
    fn default() -> Self {
        Self { version: 0x0303, suites: &[MODERN], name: None }
    }
}

impl ClientHello<'_> {
    /// The message without its record.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        if let Some(name) = self.name {
            extensions.extend(extension(0, &long(&[&[0][..], &long(name)].concat())));
        }
        // Groups x25519 and P-256, points as they are, ECDSA on P-256 with SHA-256.
        extensions.extend(extension(10, &long(&[0, 0x1d, 0, 0x17])));
        extensions.extend(extension(11, &[1, 0]));
        extensions.extend(extension(13, &long(&[4, 3])));
        let suites: Vec<_> = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        let body =
            [&self.version.to_be_bytes()[..], &[7; 32], &[0], &long(&suites), &[1, 0], &long(&extensions)];
        let body = body.concat();
        [&[1, 0][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), &body].concat()
    }

    /// The message in one record.
    pub(crate) fn record(&self) -> Vec<u8> {
        record(&self.message())
    }
}

pub(crate) fn record(fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &long(fragment)].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &long(body)].concat()
}

/// With its length in two bytes before it.
fn long(body: &[u8]) -> Vec<u8> {
    [&u16::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

/// Sends each piece in a segment of its own, and reads how the server answers.
pub(crate) async fn say_hello(port: u16, pieces: impl IntoIterator<Item = Vec<u8>>) -> HelloAnswer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        stream.write_all(&piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut said = Vec::new();
    let read = async {
        let mut head = [0; 5];
        while stream.read_exact(&mut head).await.is_ok() {
            let mut fragment = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            if stream.read_exact(&mut fragment).await.is_err() {
                break;
            }
            if head[0] == 21 {
                return HelloAnswer::Alert(fragment[1]);
            }
            said.extend_from_slice(&fragment);
            // The server has said what it has to say (RFC 5246 §7.4.5).
            if said.ends_with(&[14, 0, 0, 0]) {
                return HelloAnswer::Served(std::mem::take(&mut said));
            }
        }
        HelloAnswer::Closed
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("an answer, or the end")
}
