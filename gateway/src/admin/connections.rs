//! Connections of the private listener: what one may take, for the port may be in reach of more than this machine.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::ConnectInfo;
use axum::serve::Listener;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections open at once; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 512;

/// How long a connection may wait for a request and take to send its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection is asked for more requests. One that never reads its answers would else keep its place.
const LIFE: Duration = Duration::from_secs(120);

/// How long an answer may take after that: as long as `wxgate sessions` waits for one.
const GRACE: Duration = Duration::from_secs(60);

/// Serves `app` without end. Its handlers find the client's address as `ConnectInfo<SocketAddr>`.
pub(super) async fn serve(mut listener: TcpListener, app: Router) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&room).acquire_owned().await;
        // The trait's own accept waits and tries again when files run out.
        let (stream, client) = Listener::accept(&mut listener).await;
        let app = app.clone();
        tokio::spawn(async move {
            carry(stream, client, app).await;
            drop(place);
        });
    }
}

/// Answers what comes on one connection, until its end or that of its time.
async fn carry(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: SocketAddr,
    app: Router,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let app = TowerToHyperService::new(app.layer(Extension(ConnectInfo(client))));
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), app));
    // A client that goes away in the middle is nobody's error here.
    if timeout(LIFE, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(GRACE, connection).await;
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// A connection to an app that takes so long for an answer. It holds few bytes on their way.
    fn connected(takes: Duration) -> DuplexStream {
        let (client, server) = duplex(64);
        let app = Router::new().route(
            "/",
            get(async move || {
                sleep(takes).await;
                "answered"
            }),
        );
        tokio::spawn(carry(server, ([127, 0, 0, 1], 1).into(), app));
        client
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_asks_on_and_never_reads_loses_its_place() {
        let (mut client, began) = (connected(Duration::ZERO), Instant::now());
        let asks = async { while client.write_all(REQUEST).await.is_ok() {} };
        timeout(2 * (LIFE + GRACE), asks).await.expect("it holds its place");
        assert_eq!(began.elapsed().as_secs(), (LIFE + GRACE).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_in_time_is_answered_and_nothing_after_it() {
        let mut client = connected(LIFE + GRACE / 2);
        client.write_all(&REQUEST.repeat(2)).await.unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        assert_eq!(answers.matches("answered").count(), 1, "{answers}");
    }
}
