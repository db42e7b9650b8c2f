//! How to reach WeChat.

use std::time::Duration;

use reqwest::Url;

/// How [`WechatClient`](super::WechatClient) reaches WeChat. The default suits a server in China.
#[derive(Debug, Clone)]
pub struct WechatSettings {
    /// Where WeChat's API is. The first is used; the others, in turn, from when a connection to the one before could not
    /// be made until one to them cannot. WeChat serves `api.weixin.qq.com` (the default, alone), `api2.weixin.qq.com`
    /// for disasters, and `sh.`, `sz.` and `hk.api.weixin.qq.com` by region.
    ///
    /// A path goes before WeChat's own. `http://` carries the AppSecret in clear: it is for simulators.
    pub base_urls: Vec<String>,
    /// For name, TCP and TLS together; default 2 s. Less than `timeout`.
    pub connect_timeout: Duration,
    /// For one exchange with everything in it, waiting for room and further tries too; default 6 s, at most 60 s, when
    /// the mini program gives up. No try begins in its second half.
    pub timeout: Duration,
    /// How many exchanges may be under way at once; the next wait for room. Default 128, at least 1.
    pub concurrency: usize,
}

impl Default for WechatSettings {
    fn default() -> Self {
        Self {
            base_urls: vec!["https://api.weixin.qq.com".to_owned()],
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(6),
            concurrency: 128,
        }
    }
}

/// After this long the mini program has given up by itself.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Settings that cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WechatSettingsError {
    /// Nowhere to go.
    #[error("no base url is given")]
    NoBaseUrl,
    /// The base URL at this place, counted from 0, is none. Not repeated here: people write passwords into them.
    #[error("base url {0} is not `http(s)://host[:port][/path]` without user, query and fragment")]
    BaseUrl(usize),
    /// Connecting may not take all the time, or more, and no time is no time.
    #[error("connect_timeout must be more than 0 and less than timeout, and timeout at most 60 s")]
    Timeouts,
    /// Nobody would ever get a turn.
    #[error("concurrency must be at least 1")]
    Concurrency,
    /// TLS cannot start, most often because the system has no root certificates.
    #[error("TLS cannot be set up; are the system's root certificates installed (ca-certificates)?")]
    Tls,
}

impl WechatSettings {
    /// Every base URL.
    pub(super) fn bases(&self) -> Result<Vec<Url>, WechatSettingsError> {
        if self.base_urls.is_empty() {
            return Err(WechatSettingsError::NoBaseUrl);
        }
        let base = |(index, text): (usize, &String)| base(text).ok_or(WechatSettingsError::BaseUrl(index));
        self.base_urls.iter().enumerate().map(base).collect()
    }

    /// Checks the numbers.
    pub(super) fn check(&self) -> Result<(), WechatSettingsError> {
        let connect = self.connect_timeout;
        if connect.is_zero() || connect >= self.timeout || self.timeout > TIMEOUT_MAX {
            Err(WechatSettingsError::Timeouts)
        } else if self.concurrency == 0 {
            Err(WechatSettingsError::Concurrency)
        } else {
            Ok(())
        }
    }
}

fn base(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(base: &str) -> Result<Vec<Url>, WechatSettingsError> {
        WechatSettings { base_urls: vec![base.to_owned()], ..Default::default() }.bases()
    }

    #[test]
    fn a_base_url_with_anything_else_is_refused_and_not_repeated() {
        for base in [
            "",
            "api.weixin.qq.com",
            "ftp://x",
            "file:///x",
            "https://user@x",
            "https://:pw@x",
            "https://x?q",
            "https://x#f",
        ] {
            assert_eq!(bases(base), Err(WechatSettingsError::BaseUrl(0)), "{base}");
        }
        let none = WechatSettings { base_urls: vec![], ..Default::default() };
        assert_eq!(none.bases(), Err(WechatSettingsError::NoBaseUrl));
    }

    #[test]
    fn times_and_room_must_leave_a_way() {
        let with = |connect, total, concurrency| {
            let (connect_timeout, timeout) = (Duration::from_secs(connect), Duration::from_secs(total));
            WechatSettings { connect_timeout, timeout, concurrency, ..Default::default() }.check()
        };
        assert_eq!(WechatSettings::default().check(), Ok(()));
        assert_eq!(with(1, 2, 1), Ok(()));
        assert_eq!(with(0, 2, 1), Err(WechatSettingsError::Timeouts));
        assert_eq!(with(2, 2, 1), Err(WechatSettingsError::Timeouts));
        assert_eq!(with(1, 61, 1), Err(WechatSettingsError::Timeouts));
        assert_eq!(with(1, 2, 0), Err(WechatSettingsError::Concurrency));
    }
}
