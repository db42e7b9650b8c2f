//! What Prometheus reads on the private listener. Every label value comes from the config or from a fixed list.

mod connections;
mod timed;

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

pub(crate) use connections::{Closed, ConnectionMetrics};
pub(crate) use timed::TimedExchange;

/// All metrics of the process. They outlive every config.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    auth: Family<AuthLabels, Counter>,
    auth_passed: Counter,
    auth_anonymous: Counter,
    pub(crate) cache_hits: Gauge,
    pub(crate) cache_misses: Gauge,
    pub(crate) cache_entries: Gauge,
    pub(crate) revocations: Gauge,
    pub(crate) tokens_renewed: Counter,
    pub(crate) revocations_age: Gauge,
    pub(crate) store_ready: Gauge,
    pub(crate) ready: Gauge,
    pub(crate) log_lines_dropped: Counter,
    logins: Family<LoginLabels, Counter>,
    /// Observed by [`TimedExchange`].
    pub(crate) wechat_seconds: Histogram,
    upstream_seconds: Family<UpstreamLabels, Histogram, fn() -> Histogram>,
    reloads: Family<ReloadLabels, Counter>,
}

/// The counters of one config: found by the number of a route or an upstream, without hashing.
#[derive(Debug)]
pub(crate) struct Slots {
    requests: Family<RequestLabels, Counter>,
    /// What each route has used of `requests`.
    known: Vec<RwLock<Vec<Known>>>,
    routes: Vec<String>,
    upstream_seconds: Vec<Histogram>,
}

/// Status, outcome, and their counter.
type Known = (u16, &'static str, Counter);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuthLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoginLabels {
    app: String,
    result: &'static str,
    errcode: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        registry.register("wxgate_requests", "Requests by route, status and outcome", requests.clone());
        let auth = Family::<AuthLabels, Counter>::default();
        registry.register("wxgate_auth", "Authentications by result", auth.clone());
        let auth_passed = auth.get_or_create(&AuthLabels { result: "ok" }).clone();
        let auth_anonymous = auth.get_or_create(&AuthLabels { result: "anonymous" }).clone();
        let log_lines_dropped = Counter::default();
        let help = "Access log lines dropped because nobody read them";
        registry.register("wxgate_log_lines_dropped", help, log_lines_dropped.clone());
        let logins = Family::<LoginLabels, Counter>::default();
        registry.register("wxgate_logins", "Logins by app, result and WeChat's errcode", logins.clone());
        let tokens_renewed = Counter::default();
        registry.register("wxgate_tokens_renewed", "Answers with a new token", tokens_renewed.clone());
        let wechat_seconds = Histogram::new(exponential_buckets(0.01, 2.0, 11));
        registry.register_with_unit(
            "wxgate_wechat",
            "Time of one code exchange at WeChat",
            Unit::Seconds,
            wechat_seconds.clone(),
        );
        let upstream_seconds: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16)));
        registry.register_with_unit(
            "wxgate_upstream",
            "Time from the request to a service to the head of its answer",
            Unit::Seconds,
            upstream_seconds.clone(),
        );
        let reloads = Family::<ReloadLabels, Counter>::default();
        let help = "Changed configs by what became of them";
        registry.register("wxgate_config_reloads", help, reloads.clone());
        Self {
            requests,
            auth,
            auth_passed,
            auth_anonymous,
            cache_hits: gauge(
                registry,
                "wxgate_token_cache_hits",
                "Tokens verified before and remembered, since start",
            ),
            cache_misses: gauge(registry, "wxgate_token_cache_misses", "Tokens verified anew, since start"),
            cache_entries: gauge(registry, "wxgate_token_cache_entries", "Tokens remembered"),
            revocations: gauge(
                registry,
                "wxgate_revocations",
                "Ended sessions whose token could still be valid",
            ),
            revocations_age: gauge(
                registry,
                "wxgate_revocations_age_seconds",
                "Since when what ended on other nodes was not read from the store",
            ),
            store_ready: gauge(registry, "wxgate_store_ready", "1 when the session store takes logins"),
            tokens_renewed,
            log_lines_dropped,
            ready: gauge(registry, "wxgate_ready", "1 when /readyz says yes"),
            logins,
            wechat_seconds,
            upstream_seconds,
            reloads,
        }
    }

    /// The counters for these routes (by slot, the own endpoints included) and upstreams.
    pub(crate) fn slots<'n>(&self, routes: Vec<String>, upstreams: impl Iterator<Item = &'n str>) -> Slots {
        let of_upstream = |name: &str| {
            self.upstream_seconds.get_or_create(&UpstreamLabels { upstream: name.to_owned() }).clone()
        };
        Slots {
            requests: self.requests.clone(),
            known: routes.iter().map(|_| RwLock::default()).collect(),
            upstream_seconds: upstreams.map(of_upstream).collect(),
            routes,
        }
    }

    pub(crate) fn auth_passed(&self) {
        self.auth_passed.inc();
    }

    pub(crate) fn auth_anonymous(&self) {
        self.auth_anonymous.inc();
    }

    /// `result` is a reason code.
    pub(crate) fn auth(&self, result: &'static str) {
        self.auth.get_or_create(&AuthLabels { result }).inc();
    }

    /// `errcode` is of WeChat's own table, `other`, or empty.
    pub(crate) fn login(&self, app: &str, result: &'static str, errcode: String) {
        self.logins.get_or_create(&LoginLabels { app: app.to_owned(), result, errcode }).inc();
    }

    /// `result` is `ok`, `refused` or `needs_restart`.
    pub(crate) fn reload(&self, result: &'static str) {
        self.reloads.get_or_create(&ReloadLabels { result }).inc();
    }
}

impl Slots {
    /// Counts a finished request.
    pub(crate) fn request(&self, slot: usize, status: u16, outcome: &'static str) {
        let is_it = |(known_status, known_outcome, _): &&Known| {
            *known_status == status && std::ptr::eq(*known_outcome, outcome)
        };
        let known = &self.known[slot];
        if let Some((_, _, counter)) = known.read().unwrap_or_else(PoisonError::into_inner).iter().find(is_it)
        {
            counter.inc();
            return;
        }
        let labels = RequestLabels { route: self.routes[slot].clone(), status, outcome };
        let counter = self.requests.get_or_create(&labels).clone();
        counter.inc();
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < 64 {
            known.push((status, outcome, counter));
        }
    }

    pub(crate) fn upstream(&self, upstream: usize, took: Duration) {
        self.upstream_seconds[upstream].observe(took.as_secs_f64());
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}
