//! The use case: code → WeChat user → session → token.

mod flight;
mod nodes;
mod ends;
mod follow;
mod unkept_ends;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::keys::KeyRing;
use crate::revocation::Revocations;
use crate::session::{CodeDigest, LoginSession, SessionStore, StoreError};
use crate::token::{LoginToken, mint};
use crate::wechat::{CodeExchange, ExchangeError, WechatApp, WechatUser};
use crate::{Caller, Clock, LoginCode, Sid};

pub use ends::EndError;
use flight::{Attempt, Flights};
pub use follow::Follower;
use unkept_ends::UnkeptEnds;

/// How many entries a sweep removes at once: no login waits for more.
const SWEEP_PIECE: usize = 1000;
/// How long it rests after each. A store that takes turns under a lock would else be taken again before who waits wakes.
const SWEEP_REST: Duration = Duration::from_millis(1);

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
    /// How long an exchange takes at most; so long is waited for another node that is at the same code.
    pub exchange_timeout: Duration,
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
    /// The code gave its session here, longer ago than a retry takes, or the session has ended since.
    #[error("the code was used for a login before")]
    CodeUsed,
    /// Another node was at this code all the time that an exchange may take: sent again, it may find its session.
    #[error("another node is still making a login of this code")]
    AtAnotherNode,
    /// The session could not be kept.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

/// Logs users in and out. One for all requests.
#[derive(Debug)]
pub struct LoginService {
    inner: Arc<Inner>,
    flights: Arc<Flights>,
    unkept_ends: Arc<UnkeptEnds>,
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
        let flights = Arc::new(Flights::new(settings.replay, Arc::clone(&clock)));
        let random: Box<dyn SecureRandom + Send + Sync> = Box::new(SystemRandom::new());
        let inner = Arc::new(Inner { settings, keys, exchange, store, revocations, clock, random });
        Self { inner, flights, unkept_ends: Arc::default() }
    }

    /// The service under another config. Store, revocations and clock stay, and so does what is remembered of codes and of
    /// ends that were not kept.
    pub fn reconfigured(
        &self,
        settings: LoginSettings,
        keys: KeyRing,
        exchange: Arc<dyn CodeExchange>,
    ) -> Self {
        let before = &*self.inner;
        let flights = if settings.replay == before.settings.replay {
            Arc::clone(&self.flights)
        } else {
            Arc::new(Flights::new(settings.replay, Arc::clone(&before.clock)))
        };
        let inner = Arc::new(Inner {
            settings,
            keys,
            exchange,
            store: Arc::clone(&before.store),
            revocations: Arc::clone(&before.revocations),
            clock: Arc::clone(&before.clock),
            random: Box::new(SystemRandom::new()),
        });
        Self { inner, flights, unkept_ends: Arc::clone(&self.unkept_ends) }
    }

    /// Exchanges `code` once, however often and however parallel it is sent; each sender gets the same login.
    ///
    /// The work goes on when the caller's future is dropped: a client that went away may come back for its answer.
    pub async fn login(&self, app: &WechatApp, code: LoginCode) -> Result<Arc<Login>, LoginError> {
        let (inner, its_app, its_code) = (Arc::clone(&self.inner), app.clone(), code.clone());
        let attempt = |user| async move { inner.login(&its_app, &its_code, user).await };
        let login = self.flights.join(&app.appid, &code, attempt).await?;
        // A token that was logged out must not come again: its holder could do nothing with it.
        if self.inner.revocations.contains(&login.caller.sid) { Err(LoginError::CodeUsed) } else { Ok(login) }
    }

    /// The caller's session, as the store has it.
    pub async fn session(&self, caller: &Caller) -> Result<Option<LoginSession>, StoreError> {
        self.inner.store.get(caller.sid, self.inner.clock.unix_secs()).await
    }

    /// Removes what has expired, a bounded piece at a time; says how many entries went. Keeps the ends that were not
    /// kept. Called every now and then.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let now = self.inner.clock.unix_secs();
        self.inner.revocations.sweep(now);
        let ends_kept = self.logout_pending().await;
        let swept = sweep_store(&*self.inner.store, now).await?;
        // Told last: an end that cannot be kept must not keep the store from being swept.
        ends_kept.map(|()| swept)
    }
}

/// Removes everything that has passed, in pieces. Public for the measurement alone.
#[doc(hidden)]
pub async fn sweep_store(store: &dyn SessionStore, now: u64) -> Result<usize, StoreError> {
    let mut swept = 0;
    loop {
        let piece = store.sweep(now, SWEEP_PIECE).await?;
        swept += piece;
        if piece < SWEEP_PIECE {
            return Ok(swept);
        }
        tokio::time::sleep(SWEEP_REST).await;
    }
}

impl Inner {
    /// Makes a login of `code`, or of the user that WeChat named for it before.
    async fn login(&self, app: &WechatApp, code: &LoginCode, named: Option<Arc<WechatUser>>) -> Attempt {
        let digest = CodeDigest::of(&app.appid, code);
        let user = match named {
            // The code was claimed for this node before WeChat was asked.
            Some(user) => user,
            None => match self.exchange(app, code, digest).await {
                Ok(user) => user,
                Err(answer) => return Attempt { answer, unkept: None },
            },
        };
        match self.open_session(app, &user).await {
            Ok(login) => {
                self.settle(digest, Some(login.caller.sid)).await;
                Attempt { answer: Ok(Arc::new(login)), unkept: None }
            }
            // WeChat has spent the code, so the user it named is all there is to go on from. The claim stands: no other
            // node has this user.
            Err(error) => Attempt { answer: Err(LoginError::Store(Arc::new(error))), unkept: Some(user) },
        }
    }

    async fn open_session(&self, app: &WechatApp, user: &WechatUser) -> Result<Login, StoreError> {
        let now = self.clock.unix_secs();
        let session = LoginSession {
            sid: Sid::random(self.random.as_ref()),
            app: app.appid.clone(),
            openid: user.openid.clone(),
            unionid: user.unionid.clone(),
            session_key: Some(user.session_key.clone()),
            logged_in_at: now,
            expires_at: now + self.settings.session_lifetime.as_secs(),
        };
        let caller = self.caller(&session);
        // Kept before the token exists: a token that is out in the world has its session.
        self.store.put(session).await?;
        Ok(self.login_of(caller))
    }

    /// What the first token of `session` says.
    fn caller(&self, session: &LoginSession) -> Caller {
        Caller {
            app: session.app.clone(),
            openid: session.openid.clone(),
            unionid: session.unionid.clone(),
            sid: session.sid,
            logged_in_at: Some(session.logged_in_at),
            session_ends_at: Some(session.expires_at),
            issued_at: session.logged_in_at,
            expires_at: session.logged_in_at + self.settings.token_ttl.as_secs(),
            signed_until: session.logged_in_at + self.settings.token_ttl.as_secs(),
        }
    }

    fn login_of(&self, caller: Caller) -> Login {
        let token = mint(self.keys.signing(), &self.settings.issuer, &caller);
        Login { token, caller }
    }
}

#[cfg(test)]
mod tests;
