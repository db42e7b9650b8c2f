//! The server's side of a TLS handshake.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use pingora::protocols::Stream;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::LazyConfigAcceptor;

use super::certificates::Certificates;
use super::stream::Connection;

/// The record that says `unrecognized_name`, and that this is the end (RFC 8446 §6, RFC 6066 §3).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Reads what the client asks for, and shakes hands with the certificate that is for it. Dropping it ends the connection.
pub(super) async fn accept(
    stream: Stream,
    certificates: &Certificates,
    local: IpAddr,
) -> io::Result<Connection> {
    let mut asked = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let Some(served) = certificates.choose(asked.client_hello().server_name(), local) else {
        asked.io.write_all(&UNRECOGNIZED_NAME).await?;
        asked.io.shutdown().await?;
        return Err(io::Error::other("no certificate is for the name that was asked for"));
    };
    let stream = asked.into_stream(Arc::clone(&served.config)).await?;
    Ok(Connection::tls(stream, served))
}
