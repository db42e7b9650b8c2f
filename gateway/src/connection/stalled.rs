//! The body of an HTTP/2 request must go on: pingora has no time limit for it.
//!
//! While a service is waited for, the time limit of its answer ends a request whose body stalls, too. One that was answered
//! before its body was there would stay for ever, and hold a connection to the service: that one is dropped here.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::time::Instant;

tokio::task_local! {
    /// When a piece of the body came last; none once it has ended. Only requests of HTTP/2 with a body have it.
    static LAST_PIECE: Cell<Option<Instant>>;
}

/// A piece of a request's body has come, or its end.
pub(crate) fn piece_came(end: bool) {
    let _ = LAST_PIECE.try_with(|last| last.set((!end).then(Instant::now)));
}

/// The request's body has a time limit of its own.
pub(crate) fn limited_elsewhere() {
    piece_came(true);
}

/// Whether the request's body has not gone on for this long.
pub(crate) fn stalls_since(limit: Duration) -> bool {
    let last = LAST_PIECE.try_with(Cell::get).ok().flatten();
    last.is_some_and(|last| last.elapsed() >= limit)
}

/// Drops requests of HTTP/2 whose body has not gone on for `limit`.
#[derive(Debug)]
pub(crate) struct Unstalled<A> {
    pub(crate) app: Arc<A>,
    /// Longer than anything else that could end such a request: how long the client may pause, and the service.
    pub(crate) limit: Duration,
}

impl<A: HttpServerApp + Send + Sync + 'static> Unstalled<A> {
    async fn watch(&self, session: ServerSession, shutdown: &ShutdownWatch) -> Option<ReusedHttpStream> {
        let watched = async {
            let mut served = pin!(self.app.process_new_http(session, shutdown));
            while let Some(last) = LAST_PIECE.with(Cell::get) {
                if last.elapsed() >= self.limit {
                    tracing::info!("a request of HTTP/2 was answered, and its body stalled: it is dropped");
                    return None;
                }
                tokio::select! {
                    biased;
                    done = &mut served => return done,
                    () = tokio::time::sleep_until(last + self.limit) => {}
                }
            }
            served.await
        };
        LAST_PIECE.scope(Cell::new(Some(Instant::now())), watched).await
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> HttpServerApp for Unstalled<A> {
    // Written out, so that a request that needs no watch costs no future of its own.
    fn process_new_http<'app, 'shutdown, 'served>(
        self: &'app Arc<Self>,
        session: ServerSession,
        shutdown: &'shutdown ShutdownWatch,
    ) -> Pin<Box<dyn Future<Output = Option<ReusedHttpStream>> + Send + 'served>>
    where
        'app: 'served,
        'shutdown: 'served,
        Self: 'served,
    {
        match session.as_http2() {
            Some(stream) if !stream.is_body_empty() => Box::pin(self.watch(session, shutdown)),
            _ => self.app.process_new_http(session, shutdown),
        }
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.app.server_options()
    }

    async fn http_cleanup(&self) {
        self.app.http_cleanup().await;
    }
}
