//! HTTP/2 over TLS: a well-behaved client, and one that writes its frames by hand.

use std::time::Duration;

use ::h2::client::SendRequest;
use bytes::Bytes;
use http::{HeaderMap, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Gateway;
use super::tls::{Hello, TlsConnection};

const LIMIT: Duration = Duration::from_secs(60);

/// The usual client: one connection to `gw.test`, any number of requests.
pub(crate) struct Client {
    name: String,
    sender: SendRequest<Bytes>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(gateway: &Gateway) -> Self {
        Self::connect_to(gateway, "gw.test").await
    }

    pub(crate) async fn connect_to(gateway: &Gateway, name: &str) -> Self {
        let connection = TlsConnection::open(gateway, Hello::to(name).alpn(&["h2"])).await.unwrap();
        assert_eq!(connection.alpn(), Some(&b"h2"[..]));
        let (sender, driver) = ::h2::client::handshake(connection.stream).await.unwrap();
        tokio::spawn(driver);
        Self { name: name.to_owned(), sender }
    }

    /// `GET` with these headers.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, ::h2::Error> {
        self.send("GET", path, headers, None, &[]).await
    }

    /// Any request to the host of the connection; trailers only behind a body.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        trailers: &[(&str, &str)],
    ) -> Result<Answer, ::h2::Error> {
        let mut request = Request::builder().method(method).uri(format!("https://{}{path}", self.name));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(()).unwrap(), body, trailers).await
    }

    /// Any request at all. Takes as long as it must: the deadline is far off.
    pub(crate) async fn request(
        &self,
        request: Request<()>,
        body: Option<&[u8]>,
        trailers: &[(&str, &str)],
    ) -> Result<Answer, ::h2::Error> {
        let exchange = async {
            let mut sender = self.sender.clone().ready().await?;
            let (answer, mut stream) = sender.send_request(request, body.is_none())?;
            if let Some(body) = body {
                stream.send_data(Bytes::copy_from_slice(body), trailers.is_empty())?;
                if !trailers.is_empty() {
                    let names =
                        trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
                    stream.send_trailers(HeaderMap::<http::HeaderValue>::from_iter(names))?;
                }
            }
            let (head, mut stream) = answer.await?.into_parts();
            let mut body = Vec::new();
            while let Some(piece) = stream.data().await {
                let piece = piece?;
                stream.flow_control().release_capacity(piece.len())?;
                body.extend_from_slice(&piece);
            }
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(LIMIT, exchange).await.expect("an answer, or an error")
    }
}

/// One frame.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// Types of frames (RFC 9113 §6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A connection whose frames are written by hand.
pub(crate) struct Raw {
    connection: TlsConnection,
}

impl Raw {
    /// Greets with these settings, by their numbers.
    pub(crate) async fn connect(gateway: &Gateway, settings: &[(u16, u32)]) -> Self {
        let hello = Hello::to("gw.test").alpn(&["h2"]);
        let mut connection = TlsConnection::open(gateway, hello).await.unwrap();
        connection.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut raw = Self { connection };
        let payload = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect::<Vec<_>>();
        raw.write(SETTINGS, 0, 0, &payload).await;
        raw
    }

    /// Whether the frame could still be written.
    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.write_bytes(&frame(kind, flags, stream, payload)).await
    }

    pub(crate) async fn write_bytes(&mut self, bytes: &[u8]) -> bool {
        let written = async {
            self.connection.stream.write_all(bytes).await?;
            self.connection.stream.flush().await
        };
        tokio::time::timeout(LIMIT, written).await.is_ok_and(|written| written.is_ok())
    }

    /// A whole request head in one frame.
    pub(crate) async fn headers(&mut self, stream: u32, end: bool, fields: &[(&[u8], &[u8])]) -> bool {
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        self.write(HEADERS, flags, stream, &block(fields)).await
    }

    /// The next frame; none at the end of the connection, however it comes.
    pub(crate) async fn read(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0; 9];
            self.connection.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            self.connection.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
            Some(Frame { kind: head[3], stream, payload })
        };
        tokio::time::timeout(LIMIT, read).await.expect("a frame, or the end of the connection")
    }

    /// Reads until a frame satisfies `wanted`; none if the connection ends before.
    pub(crate) async fn read_until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// How the gateway answers this stream.
    pub(crate) async fn outcome(&mut self, stream: u32) -> Outcome {
        let ends = |frame: &Frame| {
            frame.kind == GOAWAY || (frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM))
        };
        match self.read_until(ends).await {
            Some(frame) if frame.kind == HEADERS => Outcome::Status(status(&frame.payload)),
            Some(frame) if frame.kind == RST_STREAM => Outcome::Reset,
            _ => Outcome::Closed,
        }
    }
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Status(u16),
    Reset,
    /// The whole connection.
    Closed,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as literals that nobody needs to remember (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let literal = |(name, value): &(&[u8], &[u8])| {
        [&[0][..], &integer(name.len(), 7, 0), name, &integer(value.len(), 7, 0), value].concat()
    };
    fields.iter().flat_map(literal).collect()
}

/// An integer with a prefix of so many bits (RFC 7541 §5.1).
pub(crate) fn integer(mut value: usize, bits: u32, first: u8) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![first | value as u8];
    }
    let mut bytes = vec![first | most as u8];
    value -= most;
    while value >= 128 {
        bytes.push((value % 128) as u8 | 128);
        value /= 128;
    }
    bytes.push(value as u8);
    bytes
}

/// `:status` is the first field of an answer: from the static table, or three digits in Huffman's code (RFC 7541, A and B).
fn status(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // What comes first may say how large the table is.
    let start = block.iter().position(|byte| byte >> 5 != 1).unwrap();
    let block = &block[start..];
    if let 0x88..=0x8e = block[0] {
        return INDEXED[usize::from(block[0] - 0x88)];
    }
    let length = usize::from(block[1] & 0x7f);
    let text = &block[2..2 + length];
    if block[1] & 0x80 == 0 {
        return std::str::from_utf8(text).unwrap().parse().unwrap();
    }
    let bits: String = text.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut rest, mut status) = (&bits[..], 0);
    for _ in 0..3 {
        // 0, 1 and 2 have five bits, the others six.
        let short = u16::from_str_radix(&rest[..5], 2).unwrap();
        let (digit, length) =
            if short < 3 { (short, 5) } else { (u16::from_str_radix(&rest[..6], 2).unwrap() - 0x19 + 3, 6) };
        (status, rest) = (status * 10 + digit, &rest[length..]);
    }
    status
}
