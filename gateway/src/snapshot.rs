//! The config as running: what requests read. Built whole from a checked config, or not at all.

use std::sync::Arc;

use anyhow::Context;
use auth_core::assertion::Asserter;
use auth_core::keys::{Key, KeyRing};
use auth_core::login::{LoginService, LoginSettings};
use auth_core::renewal::Renewal;
use auth_core::revocation::Revocations;
use auth_core::session::{EmbeddedStore, MemoryStore, RedisStore, Seal, SealKey, SessionStore};
use auth_core::session_data::SessionData;
use auth_core::verify::Policy;
use auth_core::wechat::{KeyChecker, WechatClient, WechatSettings};
use auth_core::{AppId, Clock, Verifier};
use bytes::Bytes;
use http::HeaderValue;
use prometheus_client::registry::Registry;
use secrecy::ExposeSecret;

use crate::admin::credential::Credentials;
use crate::admin::services::Services;
use crate::assertion::Assertions;
use crate::budget::BudgetedExchange;
use crate::config::{self, Checked};
use crate::metrics::{Metrics, Slots, TimedExchange};
use crate::renewal::NewToken;
use crate::steps::authenticate::{Authenticated, Prepared, TokenSources};
use crate::steps::inject::Injector;
use crate::steps::log::ENDPOINTS;
use crate::steps::policy::{Limiter, Permit};
use crate::steps::route::Router;
use crate::steps::upstream::Upstreams;

/// What outlives every config: opened once, and shared by all snapshots.
#[derive(Debug)]
pub(crate) struct Lasting {
    pub(crate) metrics: Metrics,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Lasting {
    /// Opens the session store, so a second process on one file is noticed here.
    pub(crate) fn open(
        store: &config::Store,
        clock: Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let revocations = match store {
            config::Store::Memory { .. } | config::Store::Embedded { .. } => Revocations::default(),
            config::Store::Redis(redis) => Revocations::shared(redis.stale_after),
        };
        let store = open_store(store, &clock)?;
        Ok(Self { metrics: Metrics::new(registry), store, revocations: Arc::new(revocations), clock })
    }
}

/// Everything that a request needs.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) lasting: Arc<Lasting>,
    pub(crate) slots: Slots,
    pub(crate) server: config::Server,
    pub(crate) openid_in_answer: bool,
    pub(crate) apps: Arc<[config::App]>,
    pub(crate) routes: Vec<config::Route>,
    /// By route; none where it has no rate.
    pub(crate) limiters: Vec<Option<Arc<Limiter>>>,
    /// Logins by address; none if there is no limit.
    pub(crate) login_limiter: Option<Arc<Limiter>>,
    login_budget: Option<Arc<Limiter>>,
    pub(crate) router: Router,
    pub(crate) token_sources: TokenSources,
    pub(crate) verifier: Verifier<Prepared>,
    pub(crate) login: LoginService,
    renewal: Renewal,
    /// Whether `/session` renews, and every route that says nothing else.
    pub(crate) renews: bool,
    pub(crate) upstreams: Upstreams,
    pub(crate) injector: Injector,
    assertions: Option<Assertions>,
    pub(crate) jwks: Bytes,
    /// Of the private listener.
    pub(crate) credentials: Credentials,
    /// None where the config names none.
    pub(crate) services: Option<Services>,
}

impl Snapshot {
    /// Puts the parts together. What can be counted on from `before` goes on: limits, addresses, codes on their way.
    pub(crate) fn build(
        config: Checked,
        lasting: &Arc<Lasting>,
        before: Option<&Self>,
    ) -> anyhow::Result<Self> {
        let keys = key_ring(&config.token)?;
        let apps: Arc<[config::App]> = config.apps.into();
        let (revocations, clock) = (&lasting.revocations, &lasting.clock);
        let verifier = verifier(&config.token, &config.session, &keys, &apps, revocations, clock);
        let assertions = Assertions::new(&config.upstreams, || {
            Asserter::new(&config.token.issuer, keys.clone()).context("an assertion needs a private key")
        })?;
        let upstreams = Upstreams::new(config.upstreams, before.map(|before| &before.upstreams));
        let slots = config.routes.iter().map(|route| route.name.to_string());
        let slots = slots.chain(ENDPOINTS.map(|endpoint| endpoint.name().to_owned())).chain(["-".to_owned()]);
        let limiter_of = |name: &str| {
            let before = before?;
            let at = before.routes.iter().position(|route| *route.name == *name)?;
            before.limiters[at].as_ref()
        };
        let limiters = config
            .routes
            .iter()
            .map(|route| route.rate.map(|rate| Limiter::after(limiter_of(&route.name), rate.limit)));
        let limiters = limiters.collect();
        let login_limiter = before.and_then(|before| before.login_limiter.as_ref());
        let login_budget = before.and_then(|before| before.login_budget.as_ref());
        let login_budget = config.login.budget.map(|limit| Limiter::after(login_budget, limit));
        let settings = LoginSettings {
            issuer: config.token.issuer.clone(),
            token_ttl: config.token.ttl,
            session_lifetime: config.session.lifetime,
            replay: config.login.replay,
            exchange_timeout: config.wechat.timeout,
        };
        let renewal = Renewal::new(&settings, keys.clone());
        let wechat_settings = wechat_settings(&config.wechat);
        let client = WechatClient::new(&wechat_settings).context(NO_CLIENT)?;
        let services = match config.admin.services.as_slice() {
            [] => None,
            services => {
                let data = session_data(&wechat_settings, lasting)?;
                Some(Services::new(services, &apps, data, before.and_then(|before| before.services.as_ref())))
            }
        };
        let seconds = lasting.metrics.wechat_seconds.clone();
        let exchange = Arc::new(BudgetedExchange {
            exchange: TimedExchange { client, seconds },
            limiter: login_budget.clone(),
        });
        let login = match before {
            Some(before) => before.login.reconfigured(settings, keys.clone(), exchange),
            None => LoginService::new(
                settings,
                keys.clone(),
                exchange,
                Arc::clone(&lasting.store),
                Arc::clone(&lasting.revocations),
                Arc::clone(&lasting.clock),
            ),
        };
        Ok(Self {
            lasting: Arc::clone(lasting),
            slots: lasting.metrics.slots(slots.collect(), upstreams.names()),
            router: Router::new(&config.routes, &config.endpoints),
            limiters,
            login_limiter: config.login.rate.map(|limit| Limiter::after(login_limiter, limit)),
            login_budget,
            token_sources: TokenSources { headers: config.token.headers, query: config.token.query },
            injector: Injector::new(&config.identity)?,
            assertions,
            credentials: Credentials::of(&config.admin),
            services,
            jwks: serde_json::to_vec(&keys.jwks())?.into(),
            server: config.server,
            openid_in_answer: config.login.openid_in_answer,
            routes: config.routes,
            apps,
            verifier,
            login,
            renewal,
            renews: config.token.renew,
            upstreams,
        })
    }

    /// The successor of the token of a caller who is due, if the session still goes on.
    pub(crate) fn renew(&self, caller: &Authenticated) -> Option<NewToken> {
        if !self.verifier.may_go_on(caller) {
            return None;
        }
        let token = NewToken::of(caller, &self.renewal, self.lasting.clock.unix_secs())?;
        self.lasting.metrics.tokens_renewed.inc();
        Some(token)
    }

    /// What the permit's upstream is told of the caller, if there is one and the upstream wants to be.
    pub(crate) fn assertion(&self, permit: &Permit) -> Option<HeaderValue> {
        let assertions = self.assertions.as_ref()?;
        assertions.of(permit.caller()?, permit.upstream(), || self.lasting.clock.unix_secs())
    }

    /// The name of a destination in the log and in the metrics' `route`.
    pub(crate) fn route_name(&self, slot: usize) -> &str {
        match self.routes.get(slot) {
            Some(route) => &route.name,
            None => ENDPOINTS.get(slot - self.routes.len()).map_or("-", |endpoint| endpoint.name()),
        }
    }
}

pub(crate) fn key_ring(token: &config::Token) -> anyhow::Result<KeyRing> {
    let keys: Result<Vec<_>, _> =
        token.keys.iter().map(|key| Key::parse(&key.kid, key.material.expose_secret())).collect();
    Ok(KeyRing::new(keys?)?)
}

pub(crate) fn verifier(
    token: &config::Token,
    session: &config::Session,
    keys: &KeyRing,
    apps: &[config::App],
    revocations: &Arc<Revocations>,
    clock: &Arc<dyn Clock>,
) -> Verifier<Prepared> {
    let policy = Policy {
        issuer: token.issuer.clone(),
        apps: apps.iter().map(|app| app.wechat.appid.clone()).collect(),
        leeway_secs: token.leeway.as_secs(),
        session_lifetime_secs: session.lifetime.as_secs(),
        cache_entries: token.cache_entries,
    };
    let appids: Vec<AppId> = apps.iter().map(|app| app.wechat.appid.clone()).collect();
    Verifier::new(keys.clone(), policy, Arc::clone(revocations), Arc::clone(clock), move |caller| {
        Prepared::new(caller, &appids)
    })
}

fn open_store(store: &config::Store, clock: &Arc<dyn Clock>) -> anyhow::Result<Arc<dyn SessionStore>> {
    Ok(match store {
        config::Store::Memory { sessions_max } => Arc::new(MemoryStore::new(*sessions_max)),
        config::Store::Embedded { path, sessions_max, keys } => {
            let opened = EmbeddedStore::open(path, *sessions_max, seal(keys)?);
            Arc::new(opened.with_context(|| format!("the session store {} does not open", path.display()))?)
        }
        config::Store::Redis(redis) => {
            let opened = RedisStore::open(&redis.settings, seal(&redis.keys)?, Arc::clone(clock));
            Arc::new(opened.context("the session store in Redis cannot be used")?)
        }
    })
}

fn seal(keys: &[config::StoreKey]) -> anyhow::Result<Seal> {
    if keys.is_empty() {
        tracing::warn!(
            "there are no store.keys: what is kept of session_key now cannot be read after a restart"
        );
        return Ok(Seal::ephemeral());
    }
    let keys: Result<Vec<_>, _> =
        keys.iter().map(|key| SealKey::parse(&key.kid, key.material.expose_secret())).collect();
    Ok(Seal::new(keys?)?)
}

const NO_CLIENT: &str = "the client for WeChat's API cannot be made";

fn wechat_settings(wechat: &config::Wechat) -> WechatSettings {
    WechatSettings {
        base_urls: wechat.base_urls.clone(),
        connect_timeout: wechat.connect_timeout,
        timeout: wechat.timeout,
        concurrency: wechat.concurrency,
    }
}

fn session_data(settings: &WechatSettings, lasting: &Lasting) -> anyhow::Result<SessionData> {
    let check = Arc::new(KeyChecker::new(settings).context(NO_CLIENT)?);
    let (store, revocations, clock) = (&lasting.store, &lasting.revocations, &lasting.clock);
    Ok(SessionData::new(Arc::clone(store), Arc::clone(revocations), Arc::clone(clock), check))
}

#[cfg(test)]
mod tests {
    use super::*;
    use auth_core::session::LoginSession;
    use auth_core::{OpenId, SessionKey, Sid, SystemClock};

    #[tokio::test]
    async fn neither_a_config_nor_what_runs_on_it_prints_a_secret() {
        let (key, app_secret) = ("Zt8rV0sQ2nYx5Lk9WmB3cJ7dHf1gPa4e", "f3c1a97be0d2456889ab10c7d35e6f42");
        let session_key = "tiihtNczf5v6AKRyjwEUhQ==";
        let text = format!(
            "version = 1\n[store]\nkind = 'memory'\n[token]\nkeys = [{{ kid = 'a', secret = '{key}' }}]\n\
             [app.shop]\nappid = 'wx1111111111111111'\nsecret = '{app_secret}'\n\
             [upstream.goods]\nservers = ['goods:3000']\n[[route]]\npath = '/*'\nupstream = 'goods'\n"
        );
        let checked = config::load_text("wxgate.toml", &text, config::Mode::Dev).unwrap();
        let mut printed = format!("{checked:?} {checked:#?}");
        // Another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let lasting = Lasting::open(&checked.store, Arc::new(SystemClock), &mut Registry::default()).unwrap();
        let snapshot = Snapshot::build(checked, &Arc::new(lasting), None).unwrap();
        let session = LoginSession {
            sid: Sid::from_bytes([1; Sid::BYTES]),
            app: AppId::parse("wx1111111111111111").unwrap(),
            openid: OpenId::parse("oGZUI0egBJY1zhBYw2KhdUfwVJJE").unwrap(),
            unionid: None,
            session_key: SessionKey::new(session_key.to_owned()),
            logged_in_at: 1,
            expires_at: u64::MAX,
        };
        snapshot.lasting.store.put(session).await.unwrap();
        printed.push_str(&format!("{snapshot:?} {snapshot:#?}"));
        assert!(printed.matches("wx1111111111111111").count() >= 4, "{printed}");
        for secret in [key, app_secret, session_key] {
            assert!(!printed.contains(&secret[..12]), "{secret} in {printed}");
            let bytes = format!("{:?}", &secret.as_bytes()[..8]);
            assert!(!printed.contains(bytes.trim_matches(['[', ']'])), "{printed}");
        }
    }
}
