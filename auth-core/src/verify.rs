//! Token → [`Caller`], with a memory for what was verified before.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::collections::HashSet;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use moka::sync::Cache;
use serde::Deserialize;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::keys::{KeyMark, KeyRing};
use crate::revocation::Revocations;
use crate::token::{Claims, LOGIN, TOKEN_LIFE_SECS_MAX, parse_object, signed_claims};
use crate::{AppId, Caller, Clock, OpenId, Sid, UnionId};

/// Why a token does not pass. Each has one stable reason code in the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Over [`TOKEN_BYTES_MAX`](crate::TOKEN_BYTES_MAX).
    #[error("the token is too long")]
    TooLong,
    /// Not three segments of base64url around a JSON header and the claims of a login token.
    #[error("the token is malformed")]
    Malformed,
    /// Signed with a key that is not, or no longer, in the ring.
    #[error("the token names an unknown key")]
    UnknownKey,
    /// Its header names another algorithm than its key has.
    #[error("the token's algorithm is not its key's")]
    WrongAlgorithm,
    /// Not what the key signed.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// A JWT of ours, but no login token.
    #[error("the token is not a login token")]
    WrongType,
    /// Made by another issuer.
    #[error("the token is of another issuer")]
    WrongIssuer,
    /// For an app that is not configured.
    #[error("the token is for another app")]
    WrongAudience,
    /// Made, or valid from, later than now.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Past its end.
    #[error("the token has expired")]
    Expired,
    /// Its session was ended.
    #[error("the token's session has ended")]
    SessionEnded,
}

/// What a token must be to pass.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The `iss` of every token.
    pub issuer: String,
    /// The apps whose tokens are taken: the `aud` must be one of them.
    pub apps: HashSet<AppId>,
    /// How far the maker's clock may differ from ours, in seconds.
    pub leeway_secs: u64,
    /// How long a session lives, in seconds: no token is taken past that, whatever it says.
    pub session_lifetime_secs: u64,
    /// How many verified tokens are remembered. 0 gives the same verdicts, each time at full cost.
    pub cache_entries: u64,
}

/// A verified token's caller, with what the owner of the [`Verifier`] derived from it once.
#[derive(Debug)]
pub struct Verified<A> {
    /// Who calls.
    pub caller: Caller,
    /// What the `derive` function of the verifier made of the caller.
    pub derived: A,
    /// The key that signed the token; none for a caller who was not verified.
    signed_by: Option<KeyMark>,
    /// The caller's half-life, or no time at all for a token that is never renewed.
    renewed_from: u64,
    /// Set by the first verdict past that: whoever answers the request then needs no clock.
    due: AtomicBool,
}

impl<A> Verified<A> {
    /// A caller whose token passed.
    pub fn new(caller: Caller, derived: A) -> Self {
        let renewed_from = caller.logged_in_at.map_or(u64::MAX, |_| caller.half_life());
        Self { caller, derived, signed_by: None, renewed_from, due: AtomicBool::new(false) }
    }

    /// Whether the token was past half its life when it last passed, and may be [renewed](crate::renewal).
    pub fn is_due(&self) -> bool {
        self.due.load(Ordering::Relaxed)
    }
}

/// How often the memory knew a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheCounts {
    /// Known.
    pub hits: u64,
    /// Not known, or no memory.
    pub misses: u64,
}

/// Verifies login tokens. Cheap to ask again: a token that passed is remembered until its time is over.
///
/// `A` is whatever the owner wants ready for each caller, such as prepared header values; it is made once a token.
pub struct Verifier<A> {
    keys: KeyRing,
    policy: Policy,
    derive: Box<dyn Fn(&Caller) -> A + Send + Sync>,
    revocations: Arc<Revocations>,
    clock: Arc<dyn Clock>,
    cache: Option<Cache<u128, Arc<Verified<A>>, FingerprintHasher>>,
    /// Keys the fingerprints, so that nobody outside can search for two tokens that share one.
    fingerprint_key: [u8; 16],
    hits: AtomicU64,
    misses: AtomicU64,
    /// No other verifier of this process has it.
    id: u64,
}

static VERIFIERS: AtomicU64 = AtomicU64::new(0);

impl<A: Send + Sync + 'static> Verifier<A> {
    /// A verifier for one key ring and policy. Made anew when either changes, so that no old verdict outlives them.
    ///
    /// # Panics
    /// If the system's random generator fails.
    pub fn new(
        keys: KeyRing,
        policy: Policy,
        revocations: Arc<Revocations>,
        clock: Arc<dyn Clock>,
        derive: impl Fn(&Caller) -> A + Send + Sync + 'static,
    ) -> Self {
        let mut fingerprint_key = [0; 16];
        SystemRandom::new().fill(&mut fingerprint_key).expect("the system's random generator works");
        let cache = (policy.cache_entries > 0).then(|| {
            Cache::builder()
                .max_capacity(policy.cache_entries)
                .build_with_hasher(FingerprintHasher::default())
        });
        let (hits, misses) = (AtomicU64::new(0), AtomicU64::new(0));
        let derive = Box::new(derive);
        let id = VERIFIERS.fetch_add(1, Ordering::Relaxed);
        Self { keys, policy, derive, revocations, clock, cache, fingerprint_key, hits, misses, id }
    }

    /// Who holds `token`, if it passes every check now.
    pub fn verify(&self, token: &str) -> Result<Arc<Verified<A>>, TokenError> {
        let now = self.clock.unix_secs();
        let Some(cache) = &self.cache else {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return self.verify_anew(token, now);
        };
        let fingerprint = self.fingerprint(token);
        if let Some(verified) = cache.get(&fingerprint) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return match self.check_standing(&verified, now) {
                Ok(()) => Ok(verified),
                Err(ended) => {
                    cache.invalidate(&fingerprint);
                    Err(ended)
                }
            };
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let verified = self.verify_anew(token, now)?;
        cache.insert(fingerprint, Arc::clone(&verified));
        Ok(verified)
    }

    /// Whether a token that this verifier let pass before, and that the owner kept beside its verdict, passes now.
    pub fn passes_again(&self, verified: &Verified<A>) -> bool {
        let passes = self.remembers() && self.may_go_on(verified);
        self.hits.fetch_add(u64::from(passes), Ordering::Relaxed);
        passes
    }

    /// Whether a caller may go on whose token passed some time ago: it has not expired, and its session has not ended.
    pub fn may_go_on(&self, verified: &Verified<A>) -> bool {
        self.check_standing(verified, self.clock.unix_secs()).is_ok()
    }

    /// The same of a caller whom another verifier let pass, perhaps under another config: the key and the app of the token are
    /// still taken, too, and sessions still live that long.
    pub fn may_still_go_on(&self, verified: &Verified<A>) -> bool {
        let Caller { app, logged_in_at, .. } = &verified.caller;
        let now = self.clock.unix_secs().saturating_sub(self.policy.leeway_secs);
        verified.signed_by.is_some_and(|key| self.keys.has(key))
            && self.policy.apps.contains(app)
            && logged_in_at.is_none_or(|at| now < at.saturating_add(self.policy.session_lifetime_secs))
            && self.may_go_on(verified)
    }

    /// Whether verdicts may be kept at all: with no memory, every token is verified anew.
    pub fn remembers(&self) -> bool {
        self.cache.is_some()
    }

    /// Tells this verifier from every other of the process, so that a kept verdict is not taken for another's.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How often tokens were known, and how often not.
    pub fn cache_counts(&self) -> CacheCounts {
        CacheCounts { hits: self.hits.load(Ordering::Relaxed), misses: self.misses.load(Ordering::Relaxed) }
    }

    /// How many tokens are remembered. Does the cache's pending housekeeping first: for a look now and then.
    pub fn cache_entries(&self) -> u64 {
        self.cache.as_ref().map_or(0, |cache| {
            cache.run_pending_tasks();
            cache.entry_count()
        })
    }

    fn verify_anew(&self, token: &str, now: u64) -> Result<Arc<Verified<A>>, TokenError> {
        let (claims, key) = signed_claims(&self.keys, token)?;
        let caller = self.check_claims(&claims)?;
        self.check_caller(&caller, now)?;
        let derived = (self.derive)(&caller);
        let verified = Verified { signed_by: Some(key.mark()), ..Verified::new(caller, derived) };
        note_due(&verified, now);
        Ok(Arc::new(verified))
    }

    /// What never changes about a token: its kind, maker, app and names.
    fn check_claims(&self, claims: &[u8]) -> Result<Caller, TokenError> {
        let claims: Claims<'_> = parse_object(claims).map_err(|error| kind_of(claims).unwrap_or(error))?;
        if claims.typ != LOGIN {
            return Err(TokenError::WrongType);
        }
        if claims.iss != self.policy.issuer {
            return Err(TokenError::WrongIssuer);
        }
        let malformed = |_| TokenError::Malformed;
        let app = AppId::parse(claims.aud).map_err(|_| TokenError::WrongAudience)?;
        if !self.policy.apps.contains(&app) {
            return Err(TokenError::WrongAudience);
        }
        // A later `nbf` moves the start of the token's time; its length is bounded whatever it says.
        let issued_at = claims.iat.max(claims.nbf.unwrap_or(0));
        if claims.exp <= claims.iat || claims.exp - claims.iat > TOKEN_LIFE_SECS_MAX {
            return Err(TokenError::Malformed);
        }
        // A token is made at its login or later.
        if claims.auth_time.is_some_and(|login| login > claims.iat) {
            return Err(TokenError::Malformed);
        }
        // The lifetime may have been shortened since the login; a longer one is for the logins to come.
        let session_ends_at = claims.auth_time.map(|login| {
            let ends_at = login.saturating_add(self.policy.session_lifetime_secs);
            claims.session_exp.map_or(ends_at, |fixed| fixed.min(ends_at))
        });
        Ok(Caller {
            app,
            openid: OpenId::parse(claims.sub).map_err(malformed)?,
            unionid: claims.unionid.map(UnionId::parse).transpose().map_err(malformed)?,
            sid: Sid::parse(claims.sid).map_err(malformed)?,
            logged_in_at: claims.auth_time,
            session_ends_at,
            issued_at,
            expires_at: claims.exp.min(session_ends_at.unwrap_or(u64::MAX)),
            signed_until: claims.exp,
        })
    }

    /// What may change from one request to the next: the time, and whether the session still stands.
    fn check_standing(&self, verified: &Verified<A>, now: u64) -> Result<(), TokenError> {
        self.check_caller(&verified.caller, now)?;
        note_due(verified, now);
        Ok(())
    }

    fn check_caller(&self, caller: &Caller, now: u64) -> Result<(), TokenError> {
        if now >= caller.expires_at.saturating_add(self.policy.leeway_secs) {
            Err(TokenError::Expired)
        } else if caller.issued_at > now.saturating_add(self.policy.leeway_secs) {
            Err(TokenError::NotYetValid)
        } else if self.revocations.contains(&caller.sid) {
            Err(TokenError::SessionEnded)
        } else {
            Ok(())
        }
    }

    /// 128 bits of a keyed pseudo-random function over the whole token. The key is this process's secret, so nobody can
    /// search for a token that shares a fingerprint with another's, and the cache holds no token that could be read out.
    ///
    /// SipHash-1-3 instead of 2-4 halves what a remembered token costs. The margin that 2-4 adds is for whoever sees
    /// outputs; nobody sees these, or learns more of them than that a token was refused.
    fn fingerprint(&self, token: &str) -> u128 {
        let mut hasher = SipHasher13::new_with_key(&self.fingerprint_key);
        hasher.write(token.as_bytes());
        hasher.finish128().into()
    }
}

/// What is wrong with claims that are not those of a login token, if they say that they are not.
fn kind_of(claims: &[u8]) -> Option<TokenError> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        typ: &'a str,
    }
    let kind: Kind<'_> = parse_object(claims).ok()?;
    (kind.typ != LOGIN).then_some(TokenError::WrongType)
}

/// On a request within the first half of a token's life this is one comparison.
fn note_due<A>(verified: &Verified<A>, now: u64) {
    // Not written again: the other cores have it at hand.
    if now >= verified.renewed_from && !verified.is_due() {
        verified.due.store(true, Ordering::Relaxed);
    }
}

impl<A> std::fmt::Debug for Verifier<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("keys", &self.keys)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// A fingerprint is already as random as a hash: its low half serves as one.
#[derive(Debug, Clone, Default)]
struct FingerprintHasher(u64);

impl std::hash::BuildHasher for FingerprintHasher {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for FingerprintHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        // Not used for `u128`, but a hasher must not lose what it is given.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }
}

#[cfg(test)]
mod tests;
