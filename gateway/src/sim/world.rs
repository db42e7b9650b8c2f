//! The simulated world: apps, users' codes and keys, and what the script has in store.

use auth_core::AppId;

use super::access_tokens::{AccessTokens, Standing};
use super::calls::Calls;
use super::codes::Codes;
use super::errcode::{
    ACCESS_TOKEN_EXPIRED, ACCESS_TOKEN_INVALID, APPID_INVALID, CREDENTIAL_INVALID, Errcode, SECRET_INVALID,
};
use super::faults::Faults;
use super::quotas::Quotas;
use super::session_keys::SessionKeys;
use super::shelf::Shelf;
use super::{Settings, SimApp};

/// Hashes of encrypted phone data kept for `/wxa/business/checkencryptedmsg`.
const PHONE_DATA_MAX: usize = 10_000;

/// Everything the simulator remembers. All of it is in memory and bounded.
#[derive(Debug)]
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) apps: Vec<App>,
    pub(super) login_codes: Codes<LoginGrant>,
    pub(super) phone_codes: Codes<PhoneGrant>,
    pub(super) session_keys: SessionKeys,
    pub(super) quotas: Quotas,
    /// SHA-256 in hex of each encrypted phone datum, and when it was made.
    pub(super) phone_data: Shelf<String, u64>,
    pub(super) faults: Faults,
    pub(super) calls: Calls,
    /// Seconds by which a script moved the clock ahead.
    pub(super) ahead_secs: u64,
}

/// One mini program and its access tokens.
#[derive(Debug)]
pub(super) struct App {
    pub(super) known: SimApp,
    pub(super) tokens: AccessTokens,
}

/// What a code of `wx.login` stands for.
#[derive(Debug, Clone)]
pub(super) struct LoginGrant {
    pub(super) appid: AppId,
    pub(super) openid: String,
    pub(super) unionid: Option<String>,
}

/// What a code of the phone number button stands for.
#[derive(Debug, Clone)]
pub(super) struct PhoneGrant {
    pub(super) appid: AppId,
    pub(super) openid: String,
    pub(super) country_code: String,
    /// Without the country code.
    pub(super) number: String,
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        let app = |known: &SimApp| App { known: known.clone(), tokens: AccessTokens::default() };
        let code_ttl_secs = settings.code_ttl.as_secs();
        Self {
            apps: settings.apps.iter().map(app).collect(),
            login_codes: Codes::new(code_ttl_secs),
            phone_codes: Codes::new(code_ttl_secs),
            session_keys: SessionKeys::new(
                settings.session_key_ttl.as_secs(),
                settings.session_key_min_rotation.as_secs(),
            ),
            quotas: Quotas::new(),
            phone_data: Shelf::new(PHONE_DATA_MAX),
            faults: Faults::default(),
            calls: Calls::default(),
            ahead_secs: 0,
            settings,
        }
    }

    /// Back to the start: nothing minted, nothing scripted, nothing counted.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.settings.clone());
    }

    /// Unix seconds on the simulator's clock.
    pub(super) fn now(&self) -> u64 {
        self.settings.clock.unix_secs().saturating_add(self.ahead_secs)
    }

    /// The app with this appid and secret.
    pub(super) fn app_by_secret(&mut self, appid: &str, secret: &str) -> Result<&mut App, Errcode> {
        let app = self.apps.iter_mut().find(|app| app.known.appid.as_str() == appid).ok_or(APPID_INVALID)?;
        if app.known.secret.expose() == secret { Ok(app) } else { Err(SECRET_INVALID) }
    }

    /// The app that this access token was issued for.
    pub(super) fn app_by_access_token(&self, token: &str) -> Result<AppId, Errcode> {
        let now = self.now();
        for app in &self.apps {
            match app.tokens.standing(token, now) {
                Standing::Valid => return Ok(app.known.appid.clone()),
                Standing::Expired => return Err(ACCESS_TOKEN_EXPIRED),
                Standing::Unknown => {}
            }
        }
        // What WeChat calls malformed is not known; every token we issue begins like this.
        Err(if token.starts_with("85_") { CREDENTIAL_INVALID } else { ACCESS_TOKEN_INVALID })
    }
}
