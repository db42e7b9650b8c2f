//! The services that may use the `session_key` of users, each with a credential that opens nothing else.

use std::sync::Arc;

use auth_core::AppId;
use auth_core::session_data::SessionData;
use axum::http::HeaderMap;

use super::credential::{Digest, bearer};
use super::refusal::Refusal;
use crate::config;
use crate::steps::policy::Limiter;

/// The services in force, and what they ask. They are part of the snapshot, so they follow the config.
#[derive(Debug)]
pub(crate) struct Services {
    all: Vec<Service>,
    pub(super) data: SessionData,
}

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: Arc<str>,
    token: Digest,
    apps: Vec<AppId>,
    /// Its checks at WeChat, by app.
    checks: Option<Arc<Limiter>>,
}

impl Services {
    /// What a service of the same name has counted `before` goes on.
    pub(crate) fn new(
        services: &[config::AdminService],
        apps: &[config::App],
        data: SessionData,
        before: Option<&Self>,
    ) -> Self {
        let appid = |app: &config::App| app.wechat.appid.clone();
        let service = |service: &config::AdminService| {
            let earlier = before.and_then(|before| before.all.iter().find(|one| one.name == service.name));
            let counted = earlier.and_then(|earlier| earlier.checks.as_ref());
            Service {
                name: Arc::clone(&service.name),
                token: Digest::of(&service.token),
                apps: match &service.apps {
                    None => apps.iter().map(appid).collect(),
                    Some(indexes) => indexes.iter().map(|index| appid(&apps[*index])).collect(),
                },
                checks: service.checks.map(|limit| Limiter::after(counted, limit)),
            }
        };
        Self { all: services.iter().map(service).collect(), data }
    }

    /// The service that sent these headers.
    pub(super) fn by(&self, headers: &HeaderMap) -> Result<&Service, Refusal> {
        let token = bearer(headers)?;
        self.all.iter().find(|service| service.token.is_of(token)).ok_or(Refusal::CredentialWrong)
    }
}

impl Service {
    /// Whether it may ask about users of the app.
    pub(super) fn may_read(&self, app: &AppId) -> bool {
        self.apps.contains(app)
    }

    /// Counts one check of the app at WeChat, or says after how many seconds the next would pass.
    pub(super) fn take_check(&self, app: &AppId) -> Result<(), u32> {
        self.checks.as_ref().map_or(Ok(()), |checks| checks.take_app(app))
    }
}
