//! Why a request is refused: one stable code each, documented with cause and cure in docs/errors.md.
//!
//! A refusal is an answer, not an error of ours. Status codes are given in `reply.rs` only.

use auth_core::{CodeError, TokenError};
use http::HeaderValue;

use crate::front::Refusal;
use crate::target::BadTarget;

/// An answer with a stable reason code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    // The request itself.
    BadHead,
    HeadTooLarge,
    HeadTimeout,
    BadTarget(BadTarget),
    BadFraming,
    BadConnection,
    BadUpgrade,
    UpgradeVersion,
    BadExpectation,
    BodyTooLarge,
    BodyTimeout,
    MisdirectedRequest,
    // Step 1, route.
    NoRoute,
    MethodNotAllowed { allow: HeaderValue },
    // Step 2, authenticate.
    TokenMissing,
    AmbiguousCredentials,
    Token(TokenError),
    // Step 3, policy.
    ClosedToAll,
    AppNotAllowed,
    RevocationsStale,
    RateLimited { retry_after_secs: u32 },
    // Step 4, upstream.
    UpstreamUnavailable,
    UpstreamFailed,
    UpstreamTimeout,
    // Login.
    BadBody,
    UnsupportedMediaType,
    BadCode(CodeError),
    UnknownApp,
    AppNotNamed,
    CodeUsed,
    LoginBudget { retry_after_secs: u32 },
    Wechat(ExchangeKind),
    StoreUnavailable,
    Internal,
}

/// What WeChat's refusal means to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExchangeKind {
    CodeInvalid,
    CodeUsed,
    CodeMissing,
    UserBlocked,
    UserLimited,
    Busy,
    MinuteQuota,
    DayQuota,
    Misconfigured,
    Unreachable,
    TimedOut,
    Interrupted,
    Unexpected,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Head => Self::BadHead,
            Refusal::Target => Self::BadTarget(BadTarget::RawByte),
            Refusal::TargetTooLong => Self::BadTarget(BadTarget::TooLong),
            Refusal::Host => Self::BadTarget(BadTarget::BadHost),
            Refusal::Framing => Self::BadFraming,
            Refusal::Connect => Self::MethodNotAllowed {
                allow: HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
            },
            Refusal::TooLarge => Self::HeadTooLarge,
            Refusal::TimedOut => Self::HeadTimeout,
        }
    }
}

impl Denied {
    /// The reason code: in the body, in `X-Wxgate-Error`, in the log and in the metrics.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::BadHead => "bad_head",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadTimeout => "head_timeout",
            Self::BadTarget(BadTarget::TooLong) => "target_too_long",
            Self::BadTarget(BadTarget::BadHost) => "bad_host",
            Self::BadTarget(_) => "bad_target",
            Self::BadFraming => "bad_framing",
            Self::BadConnection => "bad_connection",
            Self::BadUpgrade => "bad_upgrade",
            Self::UpgradeVersion => "upgrade_version",
            Self::BadExpectation => "bad_expectation",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::MisdirectedRequest => "misdirected_request",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::TokenMissing => "token_missing",
            Self::AmbiguousCredentials => "ambiguous_credentials",
            Self::Token(error) => token_code(*error),
            Self::ClosedToAll => "access_denied",
            Self::AppNotAllowed => "app_not_allowed",
            Self::RevocationsStale => "revocations_stale",
            Self::RateLimited { .. } => "rate_limited",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::BadBody => "bad_body",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BadCode(CodeError::Missing) => "code_missing",
            Self::BadCode(CodeError::Malformed) => "code_malformed",
            Self::BadCode(CodeError::Mock) => "code_mock",
            Self::UnknownApp => "app_unknown",
            Self::AppNotNamed => "app_not_named",
            Self::CodeUsed => "code_used",
            Self::LoginBudget { .. } => "login_budget",
            Self::Wechat(kind) => wechat_code(*kind),
            Self::StoreUnavailable => "store_unavailable",
            Self::Internal => "internal",
        }
    }
}

const fn token_code(error: TokenError) -> &'static str {
    match error {
        TokenError::TooLong | TokenError::Malformed => "token_malformed",
        TokenError::UnknownKey => "token_key_unknown",
        TokenError::WrongAlgorithm | TokenError::BadSignature => "token_invalid",
        TokenError::WrongType => "token_wrong_type",
        TokenError::WrongIssuer => "token_wrong_issuer",
        TokenError::WrongAudience => "token_wrong_app",
        TokenError::NotYetValid => "token_not_yet_valid",
        TokenError::Expired => "token_expired",
        TokenError::SessionEnded => "session_ended",
    }
}

const fn wechat_code(kind: ExchangeKind) -> &'static str {
    match kind {
        ExchangeKind::CodeInvalid => "code_invalid",
        ExchangeKind::CodeUsed => "code_used",
        ExchangeKind::CodeMissing => "code_missing",
        ExchangeKind::UserBlocked => "user_blocked",
        ExchangeKind::UserLimited => "user_limited",
        ExchangeKind::Busy => "wechat_busy",
        ExchangeKind::MinuteQuota | ExchangeKind::DayQuota => "wechat_quota",
        ExchangeKind::Misconfigured => "gateway_misconfigured",
        ExchangeKind::Unreachable => "wechat_unreachable",
        ExchangeKind::TimedOut => "wechat_timeout",
        ExchangeKind::Interrupted => "wechat_interrupted",
        ExchangeKind::Unexpected => "wechat_unexpected",
    }
}

impl From<BadTarget> for Denied {
    fn from(error: BadTarget) -> Self {
        Self::BadTarget(error)
    }
}

impl From<TokenError> for Denied {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<CodeError> for Denied {
    fn from(error: CodeError) -> Self {
        Self::BadCode(error)
    }
}
