//! The server's side of a TLS handshake.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificates::{Certificates, Served};
use super::pace::Paced;

/// The record that says `unrecognized_name`, and that this is the end (RFC 8446 §6, RFC 6066 §3).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Reads what the client asks for, and shakes hands with the certificate that is for it. Dropping it ends the connection.
pub(super) async fn accept(
    socket: Paced,
    certificates: &Certificates,
    local: IpAddr,
) -> io::Result<(TlsStream<Paced>, Arc<Served>)> {
    let mut asked = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
    let Some(served) = certificates.choose(asked.client_hello().server_name(), local) else {
        asked.io.write_all(&UNRECOGNIZED_NAME).await?;
        asked.io.shutdown().await?;
        return Err(io::Error::other("no certificate is for the name that was asked for"));
    };
    let stream = asked.into_stream(Arc::clone(&served.config)).await?;
    Ok((stream, served))
}
