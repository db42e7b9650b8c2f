//! What one app may cost at WeChat: the limit stands behind the single flight, where each exchange is a real one.

use std::sync::Arc;

use async_trait::async_trait;
use auth_core::LoginCode;
use auth_core::wechat::{CodeExchange, ExchangeError, WechatApp, WechatUser};

use crate::steps::policy::Limiter;

/// An exchange with a budget for each app. What is over it is refused before WeChat hears of the code, so that the code
/// can be sent again.
///
/// An app is not paused when WeChat itself says that a quota is used up: it may be one user's, and then one user could
/// keep everybody out.
#[derive(Debug)]
pub(crate) struct BudgetedExchange<E> {
    pub(crate) exchange: E,
    pub(crate) limiter: Option<Arc<Limiter>>,
}

#[async_trait]
impl<E: CodeExchange> CodeExchange for BudgetedExchange<E> {
    async fn exchange(&self, app: &WechatApp, code: &LoginCode) -> Result<WechatUser, ExchangeError> {
        if let Some(limiter) = &self.limiter {
            let counted = limiter.take_app(&app.appid);
            counted.map_err(|retry_after_secs| ExchangeError::OverBudget { retry_after_secs })?;
        }
        self.exchange.exchange(app, code).await
    }
}
