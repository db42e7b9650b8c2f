//! A changed config is taken over whole while the gateway runs, or not at all: then the old one goes on, and the log says
//! why.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::session::RedisSettings;
use aws_lc_rs::digest;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};

use super::{limits, patience};
use crate::config::{self, Checked, Fingerprint};
use crate::connection::Transport;
use crate::live::Live;
use crate::snapshot::{Lasting, Snapshot};

/// How often the config's files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a changed config must stay as it is before it is taken over unasked: an editor, or a copy of several files, may be
/// in the middle of it, and half a config can be a valid one.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// What a running process cannot change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    listen: Vec<SocketAddr>,
    tls_listen: Vec<SocketAddr>,
    admin: SocketAddr,
    workers: usize,
    upstream_pool: usize,
    drain: (Duration, Duration),
    log: (String, config::LogFormat, bool),
    store: StoreSettings,
}

/// Where sessions are kept, and the names and digests of the keys that seal.
#[derive(Debug, PartialEq, Eq)]
struct StoreSettings {
    at: Place,
    keys: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Memory { sessions_max: u64 },
    File { path: PathBuf, sessions_max: u64 },
    Redis { settings: Box<RedisSettings>, stale_after: Duration },
}

impl StoreSettings {
    fn of(store: &config::Store) -> Self {
        let (at, keys): (_, &[config::StoreKey]) = match store {
            config::Store::Memory { sessions_max } => (Place::Memory { sessions_max: *sessions_max }, &[]),
            config::Store::Embedded { path, sessions_max, keys } => {
                (Place::File { path: path.clone(), sessions_max: *sessions_max }, keys)
            }
            config::Store::Redis(redis) => {
                let place = Place::Redis {
                    settings: Box::new(redis.settings.clone()),
                    stale_after: redis.stale_after,
                };
                (place, &redis.keys)
            }
        };
        let digest = |key: &config::StoreKey| digest::digest(&digest::SHA256, key.material.expose_secret());
        let keys = keys.iter().map(|key| (key.kid.clone(), digest(key).as_ref().to_vec()));
        Self { at, keys: keys.collect() }
    }
}

impl Fixed {
    pub(super) fn of(config: &Checked) -> Self {
        let server = &config.server;
        Self {
            listen: server.listen.clone(),
            tls_listen: config.tls.listen.clone(),
            admin: config.admin.listen,
            workers: server.workers,
            upstream_pool: server.upstream_pool,
            drain: (server.drain_delay, server.drain_timeout),
            log: (config.log.level.clone(), config.log.format, config.log.access),
            store: StoreSettings::of(&config.store),
        }
    }

    /// The keys that differ.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        let pairs = [
            (self.listen == other.listen, "server.listen"),
            (self.tls_listen == other.tls_listen, "tls.listen"),
            (self.admin == other.admin, "admin.listen"),
            (self.workers == other.workers, "server.workers"),
            (self.upstream_pool == other.upstream_pool, "server.upstream_pool"),
            (self.drain == other.drain, "server.drain_delay, server.drain_timeout"),
            (self.log == other.log, "log"),
            (self.store == other.store, "store"),
        ];
        pairs.into_iter().filter(|(same, _)| !same).map(|(_, key)| key).collect()
    }
}

/// Takes over a changed config: on SIGHUP at once, else within some seconds.
pub(super) struct Reload {
    pub(super) path: PathBuf,
    pub(super) fixed: Fixed,
    pub(super) live: Live,
    pub(super) lasting: Arc<Lasting>,
    pub(super) transport: Arc<Transport>,
    /// What was read last, good or bad: each mistake is told once.
    pub(super) read: Mutex<Fingerprint>,
    /// Whether that is in force.
    pub(super) in_force: AtomicBool,
}

/// From now on a SIGHUP does not end the process. Who listens for it comes later, and looks at the config anyway.
pub(super) fn take_hangups() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    signal(SignalKind::hangup()).map(drop)
}

#[async_trait]
impl BackgroundService for Reload {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            tracing::error!("SIGHUP cannot be received: a changed config needs a restart");
            return;
        };
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                _ = tick.tick() => false,
                _ = shutdown.changed() => return,
            };
            self.look(asked).await;
        }
    }
}

impl Reload {
    /// Reads the config, and takes it over if it is another. Who asked by a signal is told what came of it in any case.
    async fn look(&self, asked: bool) {
        let (path, before) = (self.path.clone(), self.read().clone());
        let look = move || {
            (asked || !before.is_current()).then(|| {
                let (loaded, fingerprint) = config::load_noting(&path);
                // By what was loaded: the files may have changed since they were looked at.
                (fingerprint != before, loaded, fingerprint)
            })
        };
        let Ok(Some((changed, loaded, fingerprint))) = tokio::task::spawn_blocking(look).await else {
            return;
        };
        if !asked && !settled(fingerprint.clone()).await {
            // The next look is at what it has become.
            return;
        }
        if !asked && !changed {
            // It is again what it was.
            return;
        }
        *self.read() = fingerprint;
        match loaded {
            Err(mistakes) => self.refused("refused", &mistakes),
            Ok(_) if !changed && self.in_force.load(Ordering::Relaxed) => {
                tracing::info!("SIGHUP: the config is the one in force")
            }
            Ok(config) => self.take_over(config).await,
        }
    }

    fn read(&self) -> MutexGuard<'_, Fingerprint> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_over(&self, mut config: Checked) {
        let fixed = self.fixed.differences(&Fixed::of(&config));
        if !fixed.is_empty() {
            let why = format!("these need a restart: {}", fixed.join(", "));
            return self.refused("needs_restart", &why);
        }
        let warnings = std::mem::take(&mut config.warnings);
        let certificates = std::mem::take(&mut config.tls.certificates);
        let (limits, patience) = (limits(&config.server), patience(&config.server));
        let snapshot = match Snapshot::build(config, &self.lasting, Some(&self.live.snapshot())) {
            Ok(snapshot) => snapshot,
            Err(error) => return self.refused("refused", &format!("{error:#}")),
        };
        // A service that is new here has its addresses before the first request comes for it.
        if !snapshot.upstreams.unresolved().is_empty() {
            snapshot.upstreams.resolve().await;
        }
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let routes = snapshot.routes.len();
        self.live.put(snapshot);
        self.transport.reconfigure(limits, patience, certificates);
        self.in_force.store(true, Ordering::Relaxed);
        self.lasting.metrics.reload("ok");
        tracing::info!(routes, "the changed config is in force");
    }

    fn refused(&self, result: &'static str, why: &dyn Display) {
        self.in_force.store(false, Ordering::Relaxed);
        self.lasting.metrics.reload(result);
        tracing::error!("the changed config is not taken over, the old one stays in force: {why}");
    }
}

/// Whether the files stay what they were when they were read.
async fn settled(read: Fingerprint) -> bool {
    tokio::time::sleep(SETTLED_AFTER).await;
    tokio::task::spawn_blocking(move || read.is_current()).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_goes_on_changing_is_not_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wxgate.toml");
        std::fs::write(&path, "version = 1\n").unwrap();
        let (_, read) = config::load_noting(&path);
        assert!(settled(read.clone()).await);
        let looking = tokio::spawn(settled(read));
        std::fs::write(&path, "version = 1\n[server]\n").unwrap();
        assert!(!looking.await.unwrap());
    }
}
