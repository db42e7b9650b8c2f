//! The use case: code → WeChat user → session → token.

mod flight;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::keys::KeyRing;
use crate::revocation::Revocations;
use crate::session::{Ended, LoginSession, SessionStore, StoreError};
use crate::token::{LoginToken, mint};
use crate::wechat::{CodeExchange, ExchangeError, WechatApp, WechatUser};
use crate::{Caller, Clock, LoginCode, Sid};

use flight::Flights;

/// How logins are made.
#[derive(Debug, Clone)]
pub struct LoginSettings {
    /// The `iss` of every token.
    pub issuer: String,
    /// How long a token lives.
    pub token_ttl: Duration,
    /// How long a session lives; not shorter than a token.
    pub session_lifetime: Duration,
    /// How long the same code gives the same session again.
    pub replay: Duration,
}

/// A login that worked.
#[derive(Debug)]
pub struct Login {
    /// For the client.
    pub token: LoginToken,
    /// What the token says.
    pub caller: Caller,
}

/// Why a login did not work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoginError {
    /// WeChat, or the way to it.
    #[error(transparent)]
    Wechat(#[from] ExchangeError),
    /// The code gave its session here, longer ago than a retry takes.
    #[error("the code was used for a login before")]
    CodeUsed,
    /// The session could not be kept.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

/// Logs users in and out. One for all requests.
#[derive(Debug)]
pub struct LoginService {
    inner: Arc<Inner>,
    flights: Flights,
}

#[derive(Debug)]
struct Inner {
    settings: LoginSettings,
    keys: KeyRing,
    exchange: Arc<dyn CodeExchange>,
    store: Arc<dyn SessionStore>,
    revocations: Arc<Revocations>,
    clock: Arc<dyn Clock>,
    random: Box<dyn SecureRandom + Send + Sync>,
}

impl LoginService {
    /// A service over its parts. `revocations` is shared with the [`Verifier`](crate::Verifier).
    pub fn new(
        settings: LoginSettings,
        keys: KeyRing,
        exchange: Arc<dyn CodeExchange>,
        store: Arc<dyn SessionStore>,
        revocations: Arc<Revocations>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let flights = Flights::new(settings.replay, Arc::clone(&clock));
        let random: Box<dyn SecureRandom + Send + Sync> = Box::new(SystemRandom::new());
        let inner = Arc::new(Inner { settings, keys, exchange, store, revocations, clock, random });
        Self { inner, flights }
    }

    /// Exchanges `code` once, however often and however parallel it is sent; each sender gets the same login.
    ///
    /// The work goes on when the caller's future is dropped: a client that went away may come back for its answer.
    pub async fn login(&self, app: &WechatApp, code: LoginCode) -> Result<Arc<Login>, LoginError> {
        let (inner, its_app, its_code) = (Arc::clone(&self.inner), app.clone(), code.clone());
        self.flights.join(&app.appid, &code, async move { inner.login(&its_app, &its_code).await }).await
    }

    /// Ends the caller's session: here at once, and for good when this returns `Ok`.
    pub async fn logout(&self, caller: &Caller) -> Result<(), Arc<StoreError>> {
        // A minute past the token's end covers every leeway that a verifier may grant.
        let ended = Ended { sid: caller.sid, until: caller.expires_at.saturating_add(60) };
        self.inner.revocations.insert(ended);
        self.inner.store.end(ended).await.map_err(Arc::new)
    }

    /// The caller's session, as the store has it.
    pub async fn session(&self, caller: &Caller) -> Result<Option<LoginSession>, StoreError> {
        self.inner.store.get(caller.sid, self.inner.clock.unix_secs()).await
    }

    /// Takes over what the store remembers of ended sessions. Called once, before the first request.
    pub async fn recall_revocations(&self) -> Result<usize, StoreError> {
        let ended = self.inner.store.ended(self.inner.clock.unix_secs()).await?;
        let count = ended.len();
        ended.into_iter().for_each(|one| self.inner.revocations.insert(one));
        Ok(count)
    }

    /// Removes what has expired, a bounded piece at a time; says how many entries went. Called every now and then.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        const PIECE: usize = 10_000;
        let now = self.inner.clock.unix_secs();
        self.inner.revocations.sweep(now);
        self.inner.store.sweep(now, PIECE).await
    }
}

impl Inner {
    async fn login(&self, app: &WechatApp, code: &LoginCode) -> Result<Arc<Login>, LoginError> {
        let user = self.exchange.exchange(app, code).await?;
        let caller = self.caller(app, &user);
        let session = LoginSession {
            sid: caller.sid,
            app: caller.app.clone(),
            openid: user.openid,
            unionid: user.unionid,
            session_key: user.session_key,
            logged_in_at: caller.issued_at,
            expires_at: caller.issued_at + self.settings.session_lifetime.as_secs(),
        };
        // Kept before the token exists: a token that is out in the world has its session.
        self.store.put(session).await.map_err(|error| LoginError::Store(Arc::new(error)))?;
        let token = mint(self.keys.signing(), &self.settings.issuer, &caller);
        Ok(Arc::new(Login { token, caller }))
    }

    fn caller(&self, app: &WechatApp, user: &WechatUser) -> Caller {
        let now = self.clock.unix_secs();
        Caller {
            app: app.appid.clone(),
            openid: user.openid.clone(),
            unionid: user.unionid.clone(),
            sid: Sid::random(self.random.as_ref()),
            issued_at: now,
            expires_at: now + self.settings.token_ttl.as_secs(),
        }
    }
}

#[cfg(test)]
mod tests;
