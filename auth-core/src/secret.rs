//! Secrets as types: they cannot be printed, are wiped when dropped, and are opened in few places, each by `expose`.

use secrecy::{ExposeSecret, SecretString};

/// Declares a secret text with one way to open it.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(SecretString);

        impl $name {
            /// Opens the secret. What comes out must not reach a log, an error, a metric or an answer.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }
    };
}

secret!(
    /// The `code` of `wx.login`, WeChat's `js_code`: lives five minutes, works once.
    LoginCode
);

secret!(
    /// WeChat's `session_key`: 24 characters of base64. Never leaves the server side.
    SessionKey
);

secret!(
    /// The AppSecret of a mini program.
    AppSecret
);

/// A text that cannot be a login code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Nothing where the code should be.
    #[error("the login code is missing or empty")]
    Missing,
    /// Not 8 to 128 of `A-Z a-z 0-9 _ -`.
    #[error("the login code is not 8 to 128 of A-Z a-z 0-9 _ -")]
    Malformed,
    /// What the developer tools return for a project without an appid.
    #[error(
        "the developer tools returned a mock code: open the project with a real appid, or use the simulator"
    )]
    Mock,
}

impl LoginCode {
    /// Takes what could be a code by its alphabet and length; only WeChat knows whether it is one.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        if text.is_empty() {
            Err(CodeError::Missing)
        } else if text == "the code is a mock one" {
            Err(CodeError::Mock)
        } else if (8..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        {
            Ok(Self(text.into()))
        } else {
            Err(CodeError::Malformed)
        }
    }
}

impl SessionKey {
    /// Takes the text as WeChat gave it. `None` for an empty one.
    pub fn new(text: String) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }
}

impl AppSecret {
    /// Takes the text as the config gave it. `None` for an empty one.
    pub fn new(text: String) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Caller;
    use crate::keys::{Key, KeyRing};
    use crate::login::Login;
    use crate::token::mint;
    use crate::wechat::{WechatApp, WechatUser};

    #[test]
    fn a_code_is_taken_by_its_alphabet() {
        assert!(LoginCode::parse("0a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P").is_ok());
        assert_eq!(LoginCode::parse("").unwrap_err(), CodeError::Missing);
        assert_eq!(LoginCode::parse("the code is a mock one").unwrap_err(), CodeError::Mock);
        for wrong in [
            "short",
            "abcdefgh&appid=evil",
            "abcdefgh%26x",
            "abc\r\ndefgh",
            "abcdefgh\0",
            "码码码码码码码码",
            &"a".repeat(129),
        ] {
            assert_eq!(LoginCode::parse(wrong).unwrap_err(), CodeError::Malformed, "{wrong:?}");
        }
    }

    /// Every type of this crate that holds a secret, or holds one that does.
    #[test]
    fn no_secret_can_be_printed() {
        let (code, session_key) = ("0a1B2c3D4e5F6g7H8i9J", "tiihtNczf5v6AKRyjwEUhQ==");
        let (app_secret, hmac) = ("5e1fa77e0c3b4d2a9c8b7a6f5e4d3c2b", "Zt8rV0sQ2nYx5Lk9WmB3cJ7dHf1gPa4e");
        let login_code = LoginCode::parse(code).unwrap();
        let mut session = crate::session::tests::session(1);
        let key = SessionKey::new(session_key.into()).unwrap();
        session.session_key = Some(key.clone());
        let user = WechatUser { openid: session.openid.clone(), unionid: None, session_key: key };
        let app =
            WechatApp { appid: session.app.clone(), secret: AppSecret::new(app_secret.into()).unwrap() };
        let ring = KeyRing::new(vec![Key::parse("k1", hmac.as_bytes()).unwrap()]).unwrap();
        let caller = Caller {
            app: session.app.clone(),
            openid: session.openid.clone(),
            unionid: None,
            sid: session.sid,
            logged_in_at: Some(1),
            session_ends_at: Some(2),
            issued_at: 1,
            expires_at: 2,
            signed_until: 2,
        };
        let token = mint(ring.signing(), "wxgate", &caller);
        let signature = token.expose().rsplit('.').next().unwrap().to_owned();
        let login = Login { token: token.clone(), caller };
        let printed = format!(
            "{login_code:?} {session:?} {user:?} {app:?} {:#?} {ring:?} {:?} {token:?} {login:#?}",
            app,
            ring.signing()
        );
        assert!(printed.contains("wx4f4bc4dec97d474b"), "{printed}");
        for secret in [code, session_key, app_secret, hmac, &signature] {
            assert!(!printed.contains(secret) && !printed.contains(&secret[..12]), "{printed}");
            let bytes = format!("{:?}", &secret.as_bytes()[..8]);
            assert!(!printed.contains(bytes.trim_matches(['[', ']'])), "{printed}");
        }
    }
}
