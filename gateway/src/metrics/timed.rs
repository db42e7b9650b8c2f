//! How long WeChat takes: each real exchange is timed, a login that was answered from memory is none.

use std::time::Instant;

use async_trait::async_trait;
use auth_core::LoginCode;
use auth_core::wechat::{CodeExchange, ExchangeError, WechatApp, WechatClient, WechatUser};
use prometheus_client::metrics::histogram::Histogram;

/// The client for WeChat's API, timed.
#[derive(Debug)]
pub(crate) struct TimedExchange {
    pub(crate) client: WechatClient,
    pub(crate) seconds: Histogram,
}

#[async_trait]
impl CodeExchange for TimedExchange {
    async fn exchange(&self, app: &WechatApp, code: &LoginCode) -> Result<WechatUser, ExchangeError> {
        let started = Instant::now();
        let answer = self.client.exchange(app, code).await;
        self.seconds.observe(started.elapsed().as_secs_f64());
        answer
    }
}
