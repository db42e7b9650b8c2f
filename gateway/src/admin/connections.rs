//! Connections of the private listener: what one may take, for the port may be in reach of more than this machine.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::ConnectInfo;
use axum::serve::Listener;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections open at once; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 512;

/// How long a connection may wait for a request and take to send its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves `app` without end. Its handlers find the client's address as `ConnectInfo<SocketAddr>`.
pub(super) async fn serve(mut listener: TcpListener, app: Router) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    loop {
        let place = Arc::clone(&room).acquire_owned().await;
        // The trait's own accept waits and tries again when files run out.
        let (stream, client) = Listener::accept(&mut listener).await;
        let app = TowerToHyperService::new(app.clone().layer(Extension(ConnectInfo(client))));
        let connection = http.serve_connection(TokioIo::new(stream), app);
        tokio::spawn(async move {
            // A client that goes away in the middle is nobody's error here.
            let _ = connection.await;
            drop(place);
        });
    }
}
