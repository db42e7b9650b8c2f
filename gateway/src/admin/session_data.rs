//! What services do with the `session_key` of users, which stays here: `POST /session-data/…`, JSON in and out.
//!
//! A request names a user as the service knows it from `X-WX-APPID` and `X-WX-OPENID`, or by the id of a session.

mod denied;

use std::error::Error;
use std::iter::successors;
use std::net::SocketAddr;
use std::time::Duration;

use auth_core::session_data::{SessionData, UserKeys, Whose};
use auth_core::wechat::open_data::Sealed;
use auth_core::{AppId, OpenId, Sid};
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::AdminState;
use super::audit::{self, About, By};
use super::refusal::Refusal;
use super::services::Service;
use crate::snapshot::Snapshot;
use denied::Denied;

/// The largest body, in bytes. Open data has a few KiB.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

type Client = ConnectInfo<SocketAddr>;
type Outcome = Result<Map<String, Value>, Denied>;

/// The body of a request. Each path takes what it needs; what `wx.getUserInfo` gives can be sent whole to two of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    appid: Option<String>,
    openid: Option<String>,
    sid: Option<String>,
    #[serde(rename = "encryptedData")]
    encrypted_data: Option<String>,
    iv: Option<String>,
    #[serde(rename = "rawData")]
    raw_data: Option<String>,
    signature: Option<String>,
    message: Option<String>,
}

/// What answers a request of a service that may ask about the user.
struct Call<'a> {
    snapshot: &'a Snapshot,
    service: &'a Service,
    data: &'a SessionData,
    keys: UserKeys,
    asked: Asked,
}

/// Opens `encryptedData`.
pub(super) async fn decrypt(state: State<AdminState>, client: Client, request: Request) -> Response {
    answer("session_data.decrypt", state, client, request, async |call| {
        let (Some(encrypted_data), Some(iv)) = (&call.asked.encrypted_data, &call.asked.iv) else {
            return Err(Denied::BadBody(
                "this path takes encryptedData and iv, beside appid and openid, or sid",
            ));
        };
        let opened = call.keys.open(Sealed { encrypted_data, iv })?;
        Ok(fields([("data", opened.json), ("sealed_at", opened.sealed_at.into())]))
    })
    .await
}

/// Whether `signature` is WeChat's over `rawData`. One that is not is a refusal: a service that looks at the status alone is
/// right.
pub(super) async fn verify(state: State<AdminState>, client: Client, request: Request) -> Response {
    answer("session_data.verify", state, client, request, async |call| {
        let (Some(raw_data), Some(signature)) = (&call.asked.raw_data, &call.asked.signature) else {
            return Err(Denied::BadBody(
                "this path takes rawData and signature, beside appid and openid, or sid",
            ));
        };
        if !call.keys.verify(raw_data, signature) {
            return Err(Denied::SignatureWrong);
        }
        Ok(fields([("valid", true.into())]))
    })
    .await
}

/// Signs `message`, the body of a request to WeChat, on behalf of the user.
pub(super) async fn sign(state: State<AdminState>, client: Client, request: Request) -> Response {
    answer("session_data.sign", state, client, request, async |call| {
        let Some(message) = &call.asked.message else {
            return Err(Denied::BadBody("this path takes message, beside appid and openid, or sid"));
        };
        let signature = call.keys.sign(message.as_bytes());
        Ok(fields([("signature", signature.into()), ("sig_method", "hmac_sha256".into())]))
    })
    .await
}

/// Whether WeChat takes the key for the user's current one.
pub(super) async fn check(state: State<AdminState>, client: Client, request: Request) -> Response {
    answer("session_data.check", state, client, request, async |call| {
        let app = call.snapshot.apps.iter().find(|app| app.wechat.appid == *call.keys.app());
        let app = app.ok_or(Denied::AppNotAllowed)?;
        let counted = call.service.take_check(call.keys.app());
        counted.map_err(|retry_after_secs| Denied::RateLimited { retry_after_secs })?;
        let current = call.data.is_current(&app.wechat, &call.keys).await?;
        Ok(fields([("current", current.into())]))
    })
    .await
}

/// The way of every request: credential, body, right over the app, keys of the user, `work`; then the line in the log.
async fn answer(
    action: &'static str,
    State(state): State<AdminState>,
    ConnectInfo(address): Client,
    request: Request,
    work: impl AsyncFnOnce(&Call<'_>) -> Outcome,
) -> Response {
    let snapshot = state.live.snapshot();
    let Some(services) = &snapshot.services else { return Denied::NoServices.into_response() };
    let service = match services.by(request.headers()) {
        Ok(service) => service,
        Err(refusal) => {
            // Whoever guesses is seen. Who sends nothing does not guess.
            if refusal == Refusal::CredentialWrong {
                audit::note(By { name: "-", address }, action, &About::default(), refusal.code());
            }
            return refusal.into_response();
        }
    };
    let by = By { name: &service.name, address };
    let outcome = audit::noted(by, action, Denied::code, async |about| {
        let asked = read(request.into_body()).await?;
        let whose = asked.whose()?;
        match &whose {
            Whose::Session(sid) => about.sid = Some(*sid),
            Whose::User { app, openid } => {
                (about.app, about.openid) = (Some(app.clone()), Some(openid.clone()));
            }
        }
        let keys = services.data.keys(&whose, |app| service.may_read(app)).await?;
        let (app, openid) = (keys.app().clone(), keys.openid().clone());
        (about.app, about.openid) = (Some(app.clone()), Some(openid.clone()));
        let call = Call { snapshot: &snapshot, service, data: &services.data, keys, asked };
        let mut fields = work(&call).await?;
        fields.insert("appid".to_owned(), app.as_str().into());
        fields.insert("openid".to_owned(), openid.as_str().into());
        Ok(fields)
    })
    .await;
    match outcome {
        Ok(fields) => ([(header::CACHE_CONTROL, "no-store")], Json(fields)).into_response(),
        Err(denied) => denied.into_response(),
    }
}

async fn read(body: Body) -> Result<Asked, Denied> {
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await;
    let bytes = read.map_err(|_| Denied::BodyTimeout)?.map_err(|error| match was_cut_off(&error) {
        true => Denied::BadBody("the body ended too early"),
        false => Denied::BodyTooLarge,
    })?;
    // What serde says would repeat parts of the body.
    serde_json::from_slice(&bytes).map_err(|_| Denied::BadBody(FIELDS))
}

/// Whether the connection failed, and not the limit.
fn was_cut_off(error: &axum::Error) -> bool {
    successors(error.source(), |&cause| cause.source()).any(|cause| cause.is::<hyper::Error>())
}

const FIELDS: &str =
    "the body is a JSON object of texts: appid, openid, sid, encryptedData, iv, rawData, signature, message";

impl Asked {
    fn whose(&self) -> Result<Whose, Denied> {
        match (&self.appid, &self.openid, &self.sid) {
            (Some(appid), Some(openid), None) => {
                let app = AppId::parse(appid).map_err(|_| Denied::BadBody("appid is not an appid"))?;
                let openid = OpenId::parse(openid).map_err(|_| Denied::BadBody("openid is not an openid"))?;
                Ok(Whose::User { app, openid })
            }
            (None, None, Some(sid)) => {
                let sid = Sid::parse(sid).map_err(|_| Denied::BadBody("sid is not the id of a session"))?;
                Ok(Whose::Session(sid))
            }
            _ => Err(Denied::BadBody("name the user: appid and openid, or sid alone")),
        }
    }
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
