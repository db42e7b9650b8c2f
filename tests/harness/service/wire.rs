//! One connection to the service: every byte that comes is kept before anything reads it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Recorder, Seen};

/// The connection has ended.
#[derive(Debug)]
pub(super) struct Ended;

pub(super) struct Wire {
    stream: TcpStream,
    recorder: Recorder,
    connection: usize,
    unread: Vec<u8>,
}

impl Wire {
    pub(super) const fn new(stream: TcpStream, recorder: Recorder, connection: usize) -> Self {
        Self { stream, recorder, connection, unread: Vec::new() }
    }

    /// A request without its body.
    pub(super) async fn read_head(&mut self) -> Result<Seen, Ended> {
        let end = self.find(b"\r\n\r\n").await?;
        let head = self.unread.drain(..end + 4).take(end).collect::<Vec<_>>();
        let head = String::from_utf8_lossy(&head).into_owned();
        Ok(Seen { head, body: Vec::new(), trailers: String::new() })
    }

    /// Reads the body that the head of `request` announces.
    pub(super) async fn read_body(&mut self, request: &mut Seen) -> Result<(), Ended> {
        if let Some(length) = request.all("content-length").first() {
            let length = length.parse().unwrap();
            request.body = self.take(length).await?;
        } else if !request.all("transfer-encoding").is_empty() {
            while let Some(chunk) = self.read_chunk().await? {
                request.body.extend_from_slice(&chunk);
            }
            loop {
                let line = self.read_line().await?;
                if line.is_empty() {
                    break;
                }
                request.trailers.extend([&line, "\r\n"]);
            }
        }
        Ok(())
    }

    async fn read_chunk(&mut self) -> Result<Option<Vec<u8>>, Ended> {
        let size = usize::from_str_radix(self.read_line().await?.trim(), 16).unwrap();
        if size == 0 {
            return Ok(None);
        }
        let mut chunk = self.take(size + 2).await?;
        chunk.truncate(size);
        Ok(Some(chunk))
    }

    async fn read_line(&mut self) -> Result<String, Ended> {
        let end = self.find(b"\r\n").await?;
        let line = self.take(end + 2).await?;
        Ok(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    async fn take(&mut self, bytes: usize) -> Result<Vec<u8>, Ended> {
        self.read_until(bytes).await?;
        Ok(self.unread.drain(..bytes).collect())
    }

    async fn find(&mut self, wanted: &[u8]) -> Result<usize, Ended> {
        loop {
            if let Some(at) = self.unread.windows(wanted.len()).position(|window| window == wanted) {
                return Ok(at);
            }
            self.more().await?;
        }
    }

    pub(super) async fn read_until(&mut self, bytes: usize) -> Result<(), Ended> {
        while self.unread.len() < bytes {
            self.more().await?;
        }
        Ok(())
    }

    pub(super) async fn read_for(&mut self, time: Duration) -> Result<(), Ended> {
        let reading = async { while self.more().await.is_ok() {} };
        match tokio::time::timeout(time, reading).await {
            Ok(()) => Err(Ended),
            Err(_) => Ok(()),
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.stream.write_all(bytes).await.map_err(|_| Ended)
    }

    pub(super) async fn close(&mut self) -> Ended {
        let _ = self.stream.shutdown().await;
        while self.more().await.is_ok() {}
        Ended
    }

    pub(super) fn reset(&self) -> Ended {
        self.stream.set_zero_linger().unwrap();
        Ended
    }

    async fn more(&mut self) -> Result<(), Ended> {
        let mut piece = [0; 16 * 1024];
        let read = self.stream.read(&mut piece).await.unwrap_or(0);
        let piece = &piece[..read];
        self.unread.extend_from_slice(piece);
        let connection = self.connection;
        self.recorder.change(|kept| {
            kept.received[connection].extend_from_slice(piece);
            kept.ended += usize::from(piece.is_empty());
        });
        if piece.is_empty() { Err(Ended) } else { Ok(()) }
    }
}
