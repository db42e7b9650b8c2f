//! Why a call of WeChat's API, made with an access token, gave no answer.

use super::errcode::cure;
use super::wire::WireError;
use super::{AnswerProblem, ConnectFailure, Refusal};

/// Why a call gave no answer. What it says can be logged: no token, secret, key or user is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// WeChat is overloaded; asked again, it was so still.
    #[error("WeChat is busy {0}")]
    Busy(Refusal),
    /// Too many calls this minute or today.
    #[error("WeChat's quota for this call is used up {0}")]
    Quota(Refusal),
    /// No call of this app works until somebody repairs its settings, here or at WeChat.
    #[error("WeChat refuses this app: {cure} {0}", cure = cure_of_call(.0.errcode).unwrap_or_default())]
    AppMisconfigured(Refusal),
    /// WeChat refused the access token, and a newly fetched one.
    #[error("WeChat refuses the access_token that it gave {0}")]
    TokenRefused(Refusal),
    /// WeChat gave an errcode that is not known here.
    #[error("WeChat refused for a reason that is not known here {0}")]
    Unknown(Refusal),
    /// Half the time was up before another call made room.
    #[error("too many calls of WeChat are under way")]
    Overloaded,
    /// No connection came about.
    #[error("WeChat cannot be reached: {0}")]
    Unreachable(ConnectFailure),
    /// The time was up.
    #[error("WeChat did not answer in time")]
    TimedOut,
    /// The connection broke before the answer was there.
    #[error("the connection to WeChat broke before the answer was there")]
    Interrupted,
    /// Something answered, but not as WeChat does.
    #[error("not an answer of WeChat's: {0}")]
    UnexpectedAnswer(AnswerProblem),
}

impl CallError {
    /// What the refusal of a call stands for.
    pub(super) fn of_call(refusal: Refusal) -> Self {
        match refusal.errcode {
            // Invalid or no longer the latest, malformed, expired.
            40001 | 40014 | 42001 => Self::TokenRefused(refusal),
            _ => Self::of_token(refusal),
        }
    }

    /// What it stands for where the access token itself was asked for.
    pub(super) fn of_token(refusal: Refusal) -> Self {
        match refusal.errcode {
            -1 => Self::Busy(refusal),
            45009 | 45011 => Self::Quota(refusal),
            errcode if cure_of_call(errcode).is_some() => Self::AppMisconfigured(refusal),
            _ => Self::Unknown(refusal),
        }
    }

    /// What WeChat said, if it was WeChat that refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Busy(refusal)
            | Self::Quota(refusal)
            | Self::AppMisconfigured(refusal)
            | Self::TokenRefused(refusal)
            | Self::Unknown(refusal) => Some(refusal),
            Self::Overloaded
            | Self::Unreachable(_)
            | Self::TimedOut
            | Self::Interrupted
            | Self::UnexpectedAnswer(_) => None,
        }
    }

    /// Whether the question may be put again at once.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Unreachable(_))
    }
}

impl From<WireError> for CallError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Unreachable(failure) => Self::Unreachable(failure),
            WireError::TimedOut => Self::TimedOut,
            WireError::Interrupted => Self::Interrupted,
            WireError::Answer(problem) => Self::UnexpectedAnswer(problem),
        }
    }
}

/// What an operator does about an app whose calls WeChat refuses.
const fn cure_of_call(errcode: i64) -> Option<&'static str> {
    Some(match errcode {
        // From the access token's endpoint alone: elsewhere it is the token.
        40001 => "the AppSecret is wrong; it was perhaps reset in the console",
        41001 | 43002 => "the request lacked a parameter; something between here and WeChat changes it",
        89503 | 89506 | 89507 => {
            "an administrator of the app has to confirm this server's address; WeChat has sent them a message"
        }
        _ => return cure(errcode),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errcode_means_what_it_means_at_its_endpoint() {
        use CallError::{AppMisconfigured, Busy, Quota, TokenRefused, Unknown};
        type Meaning = fn(Refusal) -> CallError;
        let table: [(i64, Meaning, Meaning); 13] = [
            (-1, Busy, Busy),
            (40001, TokenRefused, AppMisconfigured),
            (40014, TokenRefused, Unknown),
            (42001, TokenRefused, Unknown),
            (40013, AppMisconfigured, AppMisconfigured),
            (40125, AppMisconfigured, AppMisconfigured),
            (40164, AppMisconfigured, AppMisconfigured),
            (41001, AppMisconfigured, AppMisconfigured),
            (48001, AppMisconfigured, AppMisconfigured),
            (89503, AppMisconfigured, AppMisconfigured),
            (45009, Quota, Quota),
            (45011, Quota, Quota),
            (87654, Unknown, Unknown),
        ];
        for (errcode, of_call, of_token) in table {
            let refusal = Refusal { errcode, rid: None };
            assert_eq!(CallError::of_call(refusal.clone()), of_call(refusal.clone()), "{errcode}");
            assert_eq!(CallError::of_token(refusal.clone()), of_token(refusal), "{errcode}");
        }
    }

    #[test]
    fn a_misconfigured_app_is_told_what_to_repair() {
        let error = CallError::of_token(Refusal { errcode: 40164, rid: None });
        assert_eq!(
            error.to_string(),
            "WeChat refuses this app: this server's address is not in the app's IP allow-list; add it in the console \
             (errcode 40164)"
        );
    }
}
