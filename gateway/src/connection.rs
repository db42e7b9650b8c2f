//! What a new connection goes through before its first request is read.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::protocols::tls::ALPN;
use pingora::server::ShutdownWatch;

use crate::front::{Front, HeadLimits};

/// Puts a [`Front`] before each connection that `app` sees.
#[derive(Debug)]
pub(crate) struct Guarded<A> {
    pub(crate) app: Arc<A>,
    pub(crate) limits: HeadLimits,
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Guarded<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        // HTTP/2 has limits of its own, and no head that a stream could see.
        let stream = match stream.selected_alpn_proto() {
            Some(ALPN::H2) => stream,
            _ => Box::new(Front::new(stream, self.limits)),
        };
        self.app.process_new(stream, shutdown).await
    }

    async fn cleanup(&self) {
        self.app.cleanup().await;
    }
}
