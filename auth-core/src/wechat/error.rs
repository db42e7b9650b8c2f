//! Why an exchange gave no user, in words of the domain.

use std::fmt;

use super::Rid;
use super::wire::WireError;

/// Why an exchange gave no user. What it says can be logged: no code, secret, key or user is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// WeChat is overloaded; asked again, it was so still.
    #[error("WeChat is busy {0}")]
    Busy(Refusal),
    /// WeChat does not know the code: never given, older than five minutes, damaged on its way, or another app's.
    #[error("WeChat does not know the login code {0}")]
    CodeRejected(Refusal),
    /// The code had been used before.
    #[error("the login code has been used before {0}")]
    CodeSpent(Refusal),
    /// WeChat saw no code in the request.
    #[error("WeChat saw no login code {0}")]
    CodeMissing(Refusal),
    /// WeChat takes this user for a risk and lets nobody log them in.
    #[error("WeChat blocks this user as a risk {0}")]
    UserBlocked(Refusal),
    /// The user's account is restricted, frozen or closed.
    #[error("the user's WeChat account is restricted {0}")]
    UserLimited(Refusal),
    /// Too many exchanges this minute.
    #[error("WeChat's quota for this minute is used up {0}")]
    QuotaMinute(Refusal),
    /// Too many exchanges today.
    #[error("WeChat's quota for today is used up {0}")]
    QuotaDay(Refusal),
    /// No login of this app works until somebody repairs its settings, here or at WeChat.
    #[error("WeChat refuses this app: {cure} {0}", cure = .0.cure())]
    AppMisconfigured(Refusal),
    /// WeChat gave an errcode that is not known here.
    #[error("WeChat refused for a reason that is not known here {0}")]
    Unknown(Refusal),
    /// Half the time was up before another exchange made room: see [`concurrency`](super::WechatSettings::concurrency).
    #[error("too many exchanges with WeChat are under way")]
    Overloaded,
    /// The app's budget of exchanges, which whoever runs this has set, is used up: WeChat was not asked.
    #[error("the app's budget of exchanges is used up: it has room again in {retry_after_secs} s")]
    OverBudget {
        /// When an exchange would pass again.
        retry_after_secs: u32,
    },
    /// No connection came about, so WeChat saw nothing.
    #[error("WeChat cannot be reached: {0}")]
    Unreachable(ConnectFailure),
    /// The time was up while WeChat may have been at work.
    #[error("WeChat did not answer in time")]
    TimedOut,
    /// The connection broke after the question could have been read.
    #[error("the connection to WeChat broke before the answer was there")]
    Interrupted,
    /// Something answered, but not as WeChat does.
    #[error("not an answer of WeChat's: {0}")]
    UnexpectedAnswer(AnswerProblem),
}

/// What WeChat said when it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// WeChat's number for the reason, never 0.
    pub errcode: i64,
    /// WeChat's id of the request.
    pub rid: Option<Rid>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rid {
            Some(rid) => write!(f, "(errcode {}, rid {rid})", self.errcode),
            None => write!(f, "(errcode {})", self.errcode),
        }
    }
}

/// Why no connection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFailure {
    /// The name of the host has no address.
    #[error("its name cannot be resolved")]
    Dns,
    /// Nobody listens.
    #[error("the connection is refused")]
    Refused,
    /// The connection, TLS included, was not there in time.
    #[error("connecting takes too long")]
    TimedOut,
    /// No common TLS, or a certificate that does not hold.
    #[error("the TLS handshake failed")]
    Tls,
    /// The network's own reasons.
    #[error("the network failed")]
    Network,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerProblem {
    /// WeChat answers with 200 whatever it says: any other status is somebody else's, or an outage.
    #[error("HTTP status {0}")]
    Status(u16),
    /// More than any answer needs.
    #[error("larger than 64 KiB")]
    TooLarge,
    /// Not a JSON object in UTF-8.
    #[error("not a JSON object")]
    NotJson,
    /// An `errcode` that is no number.
    #[error("an errcode that is no number")]
    Errcode,
    /// Neither an error nor a user.
    #[error("neither an error nor an openid with a session_key")]
    NoUser,
    /// Neither an error nor an access token.
    #[error("neither an error nor an access_token with its life")]
    NoAccessToken,
    /// An `openid` or `unionid` that cannot be one.
    #[error("an openid or unionid of an unknown shape")]
    UserId,
}

/// Whether a code can still be exchanged after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It is used up: the client calls `wx.login` again.
    Yes,
    /// WeChat did not look at it: it can be exchanged until it is five minutes old.
    No,
    /// Nobody knows. Treat it as used up; another try may be refused as [`ExchangeError::CodeSpent`].
    Maybe,
}

impl From<WireError> for ExchangeError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Unreachable(failure) => Self::Unreachable(failure),
            WireError::TimedOut => Self::TimedOut,
            WireError::Interrupted => Self::Interrupted,
            WireError::Answer(problem) => Self::UnexpectedAnswer(problem),
        }
    }
}

impl ExchangeError {
    /// What WeChat said, if it was WeChat that refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Busy(refusal)
            | Self::CodeRejected(refusal)
            | Self::CodeSpent(refusal)
            | Self::CodeMissing(refusal)
            | Self::UserBlocked(refusal)
            | Self::UserLimited(refusal)
            | Self::QuotaMinute(refusal)
            | Self::QuotaDay(refusal)
            | Self::AppMisconfigured(refusal)
            | Self::Unknown(refusal) => Some(refusal),
            Self::Overloaded
            | Self::OverBudget { .. }
            | Self::Unreachable(_)
            | Self::TimedOut
            | Self::Interrupted
            | Self::UnexpectedAnswer(_) => None,
        }
    }

    /// WeChat's number for the reason, if it was WeChat that refused. Never 0.
    pub fn errcode(&self) -> Option<i64> {
        self.refusal().map(|refusal| refusal.errcode)
    }

    /// WeChat's id of the refused request, safe to log.
    pub fn rid(&self) -> Option<&str> {
        self.refusal()?.rid.as_ref().map(Rid::as_str)
    }

    /// What is left of the code.
    ///
    /// A code that WeChat looked at is used up, refused or not. It does not look at it while it is busy, over a quota, or
    /// at odds with the app's settings. After anything ambiguous nobody can tell.
    pub fn code_spent(&self) -> Spent {
        match self {
            Self::CodeRejected(_) | Self::CodeSpent(_) | Self::UserBlocked(_) | Self::UserLimited(_) => {
                Spent::Yes
            }
            Self::Busy(_)
            | Self::CodeMissing(_)
            | Self::QuotaMinute(_)
            | Self::QuotaDay(_)
            | Self::AppMisconfigured(_)
            | Self::Overloaded
            | Self::OverBudget { .. }
            | Self::Unreachable(_) => Spent::No,
            Self::Unknown(_) | Self::TimedOut | Self::Interrupted | Self::UnexpectedAnswer(_) => Spent::Maybe,
        }
    }

    /// The reason as a label of metrics: one of sixteen words that do not change.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Busy(_) => "busy",
            Self::CodeRejected(_) => "code_rejected",
            Self::CodeSpent(_) => "code_spent",
            Self::CodeMissing(_) => "code_missing",
            Self::UserBlocked(_) => "user_blocked",
            Self::UserLimited(_) => "user_limited",
            Self::QuotaMinute(_) => "quota_minute",
            Self::QuotaDay(_) => "quota_day",
            Self::AppMisconfigured(_) => "app_misconfigured",
            Self::Unknown(_) => "unknown",
            Self::Overloaded => "overloaded",
            Self::OverBudget { .. } => "over_budget",
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::UnexpectedAnswer(_) => "unexpected_answer",
        }
    }
}
