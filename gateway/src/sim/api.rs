//! WeChat's API: which path is answered by whom.

mod code2session;
mod session_key;
mod access_token;
mod phone;

use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;

use super::Shared;
use super::answer::{Answer, Trailer, content_type};
use super::call::Call;
use super::calls::Seen;
use super::errcode::Errcode;
use super::faults::Fault;
use super::line::Line;
use super::send::{self, Reply};
use super::world::World;

/// Answers one call of WeChat's API, or does to it what the script says.
pub(super) async fn serve_call(
    State(shared): State<Shared>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let Some(call) = Call::read(request).await else {
        return send::too_large();
    };
    let (reply, fault) = take(&mut shared.lock(), &call);
    send::send(reply, fault, &line).await
}

/// Lets the call have its effect, records it, and writes the answer down.
fn take(world: &mut World, call: &Call) -> (Reply, Option<Fault>) {
    let now = world.now();
    let fault = world.faults.next_for(&call.path);
    let mut seen = Seen::of(call, now);

    // The effect comes first, however long the answer then takes: a client that gives up finds its code spent.
    let answer = if fault.as_ref().is_none_or(|fault| fault.consume) { answer(world, call) } else { None };
    seen.errcode = answer.as_ref().and_then(|answer| answer.errcode);
    seen.fault = fault.as_ref().map(|fault| fault.kind.name());
    tracing::info!(method = %call.method, path = call.path, errcode = seen.errcode, fault = seen.fault, "call");
    world.calls.record(seen);

    let trailer = fault.as_ref().map_or(Trailer::Rid, |fault| fault.kind.trailer());
    let answer = match &fault {
        Some(fault) => fault.kind.rewrite(answer),
        None => answer,
    };
    let text = answer.map(|answer| answer.finish(&call.path, now, trailer).to_json());
    (Reply { content_type: content_type(&call.path), text }, fault)
}

/// The table of contents of the simulated API. `None`: no such path.
fn answer(world: &mut World, call: &Call) -> Option<Answer> {
    let endpoint: fn(&mut World, &Call) -> Result<Answer, Errcode> = match call.path.as_str() {
        "/sns/jscode2session" => code2session::exchange,
        "/wxa/checksession" => session_key::check,
        "/wxa/resetusersessionkey" => session_key::reset,
        "/cgi-bin/token" => access_token::token,
        "/cgi-bin/stable_token" => access_token::stable_token,
        "/wxa/business/getuserphonenumber" => phone::number,
        "/wxa/business/checkencryptedmsg" => phone::check_encrypted,
        _ => return None,
    };
    Some(endpoint(world, call).unwrap_or_else(Answer::refused))
}

/// The app whose access token the call carries.
fn calling_app(world: &World, call: &Call) -> Result<auth_core::AppId, Errcode> {
    let token = call.query("access_token").ok_or(super::errcode::ACCESS_TOKEN_MISSING)?;
    world.app_by_access_token(token)
}

/// The body of a call that must be a POST of a JSON object.
fn posted(call: &Call) -> Result<serde_json::Map<String, serde_json::Value>, Errcode> {
    if call.method != http::Method::POST {
        return Err(super::errcode::POST_REQUIRED);
    }
    call.json().ok_or(super::errcode::DATA_FORMAT)
}

/// A text field of a posted body; `None` when absent, empty or no text.
fn text<'a>(body: &'a serde_json::Map<String, serde_json::Value>, name: &str) -> Option<&'a str> {
    body.get(name)?.as_str().filter(|text| !text.is_empty())
}
