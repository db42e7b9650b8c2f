//! WeChat's errcodes, and what each means for a login.
//!
//! From the tables of `code2Session`, of the access token endpoints and of the global return codes, and from what the
//! wide-spread SDKs list beyond them. The number decides; the text beside it changes with the weather.

use super::{ExchangeError, Refusal, Rid};

impl ExchangeError {
    /// The error that WeChat's `errcode`, not 0, stands for.
    pub fn from_errcode(errcode: i64, rid: Option<Rid>) -> Self {
        Refusal { errcode, rid }.into()
    }
}

impl From<Refusal> for ExchangeError {
    fn from(refusal: Refusal) -> Self {
        let meaning = match refusal.errcode {
            // `system error`: the guide says to ask again.
            -1 => Self::Busy,
            // `invalid code` and `code expired`. An expired mini program code comes as the first; the second is in the
            // global list.
            40029 | 42003 => Self::CodeRejected,
            // `code been used`. In no official table, and the most frequent of all: somebody between asked twice.
            40163 => Self::CodeSpent,
            // `missing code`.
            41008 => Self::CodeMissing,
            // `code blocked`: a user whom WeChat's risk control stops.
            40226 => Self::UserBlocked,
            // `user limited`: restricted, frozen or deregistered.
            50002 => Self::UserLimited,
            45011 => Self::QuotaMinute,
            45009 => Self::QuotaDay,
            errcode if cure(errcode).is_some() => Self::AppMisconfigured,
            _ => Self::Unknown,
        };
        meaning(refusal)
    }
}

impl Refusal {
    /// What an operator does about it.
    pub(super) fn cure(&self) -> &'static str {
        cure(self.errcode).unwrap_or("see WeChat's list of return codes")
    }
}

/// What an operator does about an app that WeChat refuses; `None` for what is not the app's fault.
pub(super) const fn cure(errcode: i64) -> Option<&'static str> {
    Some(match errcode {
        40013 => "the appid is wrong; compare it with the one in the console",
        40125 => "the AppSecret is wrong; it was perhaps reset in the console",
        40164 => "this server's address is not in the app's IP allow-list; add it in the console",
        40243 => "the AppSecret is frozen; thaw it in the console",
        40002 | 41002 | 41004 => {
            "the request lacked a parameter; something between here and WeChat changes it"
        }
        48001 | 48004 => "the app has no permission for this interface, or lost it; see the console",
        50004 | 50007 => "the app's account is banned or frozen; see the console",
        61003 => "the app has not authorised the third-party platform",
        40090 => "the third-party platform's address is not in its IP allow-list",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Spent;
    use super::*;

    /// Every errcode that this endpoint is known for: its kind, and what is left of the code.
    const TABLE: [(i64, &str, Spent); 22] = [
        (-1, "busy", Spent::No),
        (40013, "app_misconfigured", Spent::No),
        (40029, "code_rejected", Spent::Yes),
        (40125, "app_misconfigured", Spent::No),
        (40163, "code_spent", Spent::Yes),
        (40164, "app_misconfigured", Spent::No),
        (40226, "user_blocked", Spent::Yes),
        (40243, "app_misconfigured", Spent::No),
        (41002, "app_misconfigured", Spent::No),
        (41004, "app_misconfigured", Spent::No),
        (41008, "code_missing", Spent::No),
        (40002, "app_misconfigured", Spent::No),
        (42003, "code_rejected", Spent::Yes),
        (45009, "quota_day", Spent::No),
        (45011, "quota_minute", Spent::No),
        (48001, "app_misconfigured", Spent::No),
        (48004, "app_misconfigured", Spent::No),
        (50002, "user_limited", Spent::Yes),
        (50004, "app_misconfigured", Spent::No),
        (50007, "app_misconfigured", Spent::No),
        (61003, "app_misconfigured", Spent::No),
        (40090, "app_misconfigured", Spent::No),
    ];

    #[test]
    fn every_errcode_has_its_meaning() {
        for (errcode, kind, spent) in TABLE {
            let error = ExchangeError::from_errcode(errcode, Rid::find("rid: 64-a-b"));
            assert_eq!((error.kind(), error.code_spent()), (kind, spent), "{errcode}");
            assert_eq!((error.errcode(), error.rid()), (Some(errcode), Some("64-a-b")));
            assert!(error.to_string().contains(&errcode.to_string()), "{error}");
        }
    }

    #[test]
    fn an_errcode_that_is_not_known_is_unknown() {
        for errcode in [1, 40188, 99999, i64::MIN, i64::MAX] {
            let error = ExchangeError::from_errcode(errcode, None);
            assert_eq!(
                (error.kind(), error.code_spent(), error.errcode()),
                ("unknown", Spent::Maybe, Some(errcode))
            );
        }
    }

    #[test]
    fn a_misconfigured_app_is_told_what_to_repair() {
        let error = ExchangeError::from_errcode(40164, None);
        assert_eq!(
            error.to_string(),
            "WeChat refuses this app: this server's address is not in the app's IP allow-list; add it in the console \
             (errcode 40164)"
        );
    }
}
