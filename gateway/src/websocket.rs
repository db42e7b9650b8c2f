//! WebSocket (RFC 6455): what is a handshake, and the connection to the service behind one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, HeaderMap, UPGRADE};
use http::{Method, Version};
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, OrErr};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::denied::Denied;

/// Whether the request opens a WebSocket. On a route that takes none it never does: the header is dropped on the way.
/// What asks for one must ask properly (RFC 6455 §4.2.1), or the two ends would not agree that it is one.
pub(crate) fn is_handshake(method: &Method, version: Version, headers: &HeaderMap) -> Result<bool, Denied> {
    if !headers.contains_key(UPGRADE) {
        return Ok(false);
    }
    let mut upgrades = headers.get_all(UPGRADE).iter();
    let websocket = upgrades.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).map(http::HeaderValue::as_bytes)
    };
    let asks = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade")));
    let key = one("sec-websocket-key").is_some_and(|key| key.len() == 24 && key.ends_with(b"=="));
    let no_body = !headers.contains_key("content-length") && !headers.contains_key("transfer-encoding");
    if !websocket
        || upgrades.next().is_some()
        || !asks
        || !key
        || !no_body
        || *method != Method::GET
        || version != Version::HTTP_11
    {
        Err(Denied::BadUpgrade)
    } else if one("sec-websocket-version") != Some(b"13") {
        Err(Denied::UpgradeVersion)
    } else {
        Ok(true)
    }
}

/// The status with which a service takes a handshake (RFC 9110 §15.2.2).
pub(crate) const SWITCHING_PROTOCOLS: u16 = 101;

/// Whether the service's 101 answers this very handshake (RFC 6455 §4.2.2). One that does not would be a tunnel that the
/// client takes for something else.
pub(crate) fn is_accepted(request: &HeaderMap, response: &HeaderMap) -> bool {
    let key = request.get("sec-websocket-key").map(http::HeaderValue::as_bytes).unwrap_or_default();
    let mut digest = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key);
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(digest.finish());
    let is = |name: &str, value: &str| {
        response.get(name).is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    };
    is("upgrade", "websocket")
        && response.get("sec-websocket-accept").is_some_and(|found| found == accept.as_str())
}

/// Connects to services of WebSocket routes over a stream that works around pingora issue 946: a service that answers
/// 101 at once could have its connection torn down, since pingora then saw the answer before the end of the request.
#[derive(Debug)]
pub(crate) struct WebSocketConnect;

#[async_trait]
impl L4Connect for WebSocketConnect {
    async fn connect(&self, address: &SocketAddr) -> pingora::Result<Stream> {
        let address = address.as_inet().ok_or_else(|| Error::new(ErrorType::ConnectError))?;
        let io =
            TcpStream::connect(address).await.or_err(ErrorType::ConnectError, "to a WebSocket service")?;
        io.set_nodelay(true).or_err(ErrorType::ConnectError, "no delay")?;
        Ok(VirtualSocketStream::new(Box::new(YieldAfterWrite { io, wrote: false })).into())
    }
}

/// A stream whose first read after a write yields once, so that what was queued when the write ended goes first.
#[derive(Debug)]
struct YieldAfterWrite {
    io: TcpStream,
    wrote: bool,
}

impl AsyncRead for YieldAfterWrite {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.wrote) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for YieldAfterWrite {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.wrote = true;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl VirtualSocket for YieldAfterWrite {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.io.set_nodelay(true),
            // Keep-alive probes matter to pooled connections; a WebSocket has heartbeats of its own.
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_proper_handshake_is_one_and_a_plain_request_is_none() {
        assert_eq!(is_handshake(&Method::GET, Version::HTTP_11, &handshake()), Ok(true));
        assert_eq!(is_handshake(&Method::GET, Version::HTTP_11, &HeaderMap::new()), Ok(false));
    }

    #[test]
    fn an_answer_belongs_to_its_handshake() {
        let mut answer = HeaderMap::new();
        answer.insert("upgrade", "WebSocket".parse().unwrap());
        // The example of RFC 6455 §1.3.
        answer.insert("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".parse().unwrap());
        assert!(is_accepted(&handshake(), &answer));
        assert!(!is_accepted(&HeaderMap::new(), &answer));
        answer.insert("upgrade", "h2c".parse().unwrap());
        assert!(!is_accepted(&handshake(), &answer));
    }

    #[test]
    fn half_a_handshake_is_refused() {
        for (name, value) in [
            ("upgrade", "h2c"),
            ("connection", "keep-alive"),
            ("sec-websocket-key", "short"),
            ("content-length", "10"),
            ("transfer-encoding", "chunked"),
        ] {
            let mut headers = handshake();
            headers.insert(http::HeaderName::from_static(name), value.parse().unwrap());
            assert_eq!(
                is_handshake(&Method::GET, Version::HTTP_11, &headers),
                Err(Denied::BadUpgrade),
                "{name}: {value}"
            );
        }
        assert_eq!(is_handshake(&Method::POST, Version::HTTP_11, &handshake()), Err(Denied::BadUpgrade));
        assert_eq!(is_handshake(&Method::GET, Version::HTTP_10, &handshake()), Err(Denied::BadUpgrade));
        let mut headers = handshake();
        headers.append("upgrade", "websocket".parse().unwrap());
        assert_eq!(is_handshake(&Method::GET, Version::HTTP_11, &headers), Err(Denied::BadUpgrade));
        let mut headers = handshake();
        headers.insert("sec-websocket-version", "12".parse().unwrap());
        assert_eq!(is_handshake(&Method::GET, Version::HTTP_11, &headers), Err(Denied::UpgradeVersion));
    }
}
