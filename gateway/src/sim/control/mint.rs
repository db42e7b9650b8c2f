//! Mints what the client side of WeChat would hand to a mini program: codes.

use auth_core::UnionId;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::sim::input::{Input, Wrong};
use crate::sim::world::{LoginGrant, PhoneGrant, World};
use crate::sim::{Shared, SimApp, random, users};

/// Bytes of a user's name.
const USER_BYTES_MAX: usize = 128;

/// `wx.login` of a user: a code of 32 characters. May rotate the user's `session_key`, as the real one does.
pub(super) async fn login_code(State(shared): State<Shared>, input: Input) -> Result<Json<Value>, Wrong> {
    input.only(&["appid", "user", "unionid"])?;
    let mut world = shared.lock();
    let Who { app, user, openid } = Who::read(&world, &input)?;
    let unionid = match input.text("unionid")? {
        None => app.open_platform.as_deref().map(|account| users::unionid(account, user)),
        Some("") => None,
        Some(given) => Some(parse_unionid(given)?),
    };

    let (now, code) = (world.now(), random::alphanumeric(32));
    let grant = LoginGrant { appid: app.appid.clone(), openid: openid.clone(), unionid: unionid.clone() };
    world.login_codes.mint(code.clone(), grant, now);
    world.session_keys.login(app.appid.as_str(), &openid, now);
    Ok(Json(json!({
        "code": code,
        "appid": app.appid,
        "openid": openid,
        "unionid": unionid,
        "expires_in": world.settings.code_ttl.as_secs(),
    })))
}

/// The phone number button pressed by a user: a code of 64 hex digits. No login is needed before it.
pub(super) async fn phone_code(State(shared): State<Shared>, input: Input) -> Result<Json<Value>, Wrong> {
    input.only(&["appid", "user", "phone", "country_code"])?;
    let mut world = shared.lock();
    let Who { app, user, openid } = Who::read(&world, &input)?;
    let number = match input.text("phone")? {
        Some(phone) => digits("phone", phone, 20)?.to_owned(),
        None => users::phone_number(user),
    };
    let country_code = digits("country_code", input.text("country_code")?.unwrap_or("86"), 4)?.to_owned();

    let (now, code) = (world.now(), random::hex(32));
    let answer = json!({
        "code": code,
        "appid": app.appid,
        "openid": openid,
        "phone": number,
        "expires_in": world.settings.code_ttl.as_secs(),
    });
    world.phone_codes.mint(code, PhoneGrant { appid: app.appid, openid, country_code, number }, now);
    Ok(Json(answer))
}

/// The app and the user that a control call is about.
pub(super) struct Who<'a> {
    pub(super) app: SimApp,
    pub(super) user: &'a str,
    pub(super) openid: String,
}

impl<'a> Who<'a> {
    /// Reads `appid`, which may be left out with one app, and `user`, by default `alice`.
    pub(super) fn read(world: &World, input: &'a Input) -> Result<Self, Wrong> {
        let mut apps = world.apps.iter().map(|app| &app.known);
        let app = match input.text("appid")? {
            None if world.apps.len() == 1 => apps.next(),
            None => None,
            Some(appid) => apps.find(|app| app.appid.as_str() == appid),
        };
        let Some(app) = app.cloned() else {
            let known: Vec<&str> = world.apps.iter().map(|app| app.known.appid.as_str()).collect();
            return Err(Wrong::new(
                "appid is missing or unknown",
                format!("send appid as one of {}", known.join(", ")),
            ));
        };
        let user = input.text("user")?.unwrap_or("alice");
        if user.is_empty() || user.len() > USER_BYTES_MAX {
            return Err(Wrong::new("user is empty or too long", format!("send 1 to {USER_BYTES_MAX} bytes")));
        }
        let openid = users::openid(app.appid.as_str(), user);
        Ok(Self { app, user, openid })
    }
}

fn parse_unionid(text: &str) -> Result<String, Wrong> {
    let hint = "leave unionid out to derive it, or send an empty one for none";
    UnionId::parse(text).map(String::from).map_err(|wrong| Wrong::new(wrong.to_string(), hint))
}

fn digits<'a>(name: &str, text: &'a str, max: usize) -> Result<&'a str, Wrong> {
    if (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text)
    } else {
        Err(Wrong::new(format!("{name} is not a number"), format!("send 1 to {max} digits")))
    }
}
