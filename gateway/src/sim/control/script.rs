//! Scripts faults: `POST /_sim/faults` appends to the queue, the first that fits a call is applied.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::sim::Shared;
use crate::sim::errcode;
use crate::sim::faults::{FAULTS_MAX, Fault, Kind};
use crate::sim::input::{Input, Wrong};

/// Calls one entry may stand for.
const TIMES_MAX: u64 = 1_000_000;
/// Longest delay of an answer, and of one byte of a drip, in milliseconds.
const AFTER_MS_MAX: u64 = 600_000;
/// Delay of `slow` when nothing is said, in milliseconds: longer than a gateway should wait.
const SLOW_MS: u64 = 10_000;
/// Pause before each byte of `drip` when nothing is said, in milliseconds.
const DRIP_MS: u64 = 100;
/// Padding of `huge_body` and `gzip_bomb` in bytes: when nothing is said, and at most.
const HUGE_BYTES: u64 = 64 * 1024 * 1024;
const HUGE_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Characters of an errmsg or a location.
const TEXT_CHARS_MAX: usize = 1024;

pub(super) async fn add(State(shared): State<Shared>, input: Input) -> Result<Json<Value>, Wrong> {
    let (fault, times) = read(&input)?;
    let mut world = shared.lock();
    if !world.faults.push(fault, times) {
        return Err(Wrong::new(
            format!("{FAULTS_MAX} faults are pending"),
            "use times=N for many of a kind, or DELETE /_sim/faults",
        ));
    }
    Ok(Json(json!({ "pending": world.faults.pending().count() })))
}

pub(super) async fn pending(State(shared): State<Shared>) -> Json<Value> {
    let world = shared.lock();
    let faults: Vec<Value> = world
        .faults
        .pending()
        .map(|(fault, times)| {
            json!({
                "kind": fault.kind.name(),
                "path": fault.path,
                "times": times,
                "consume": fault.consume,
                "after_ms": u64::try_from(fault.after.as_millis()).unwrap_or(u64::MAX),
            })
        })
        .collect();
    Json(json!({ "faults": faults }))
}

pub(super) async fn clear(State(shared): State<Shared>) -> Json<Value> {
    shared.lock().faults.clear();
    Json(json!({ "ok": true }))
}

fn read(input: &Input) -> Result<(Fault, u64), Wrong> {
    let (kind, own_fields) = read_kind(input)?;
    input.only(&[&["kind", "path", "times", "after_ms", "consume"], own_fields].concat())?;
    let consume = input.flag("consume")?.unwrap_or_else(|| kind.consumes_by_default());
    if !consume && kind.needs_answer() {
        let error = format!("{} changes the right answer, and so the call has its effect", kind.name());
        return Err(Wrong::new(
            error,
            "leave consume out, or use kind=reset, empty, busy, errcode or html_502",
        ));
    }
    let path = input.text("path")?;
    if path.is_some_and(|path| !path.starts_with('/') || path.chars().count() > TEXT_CHARS_MAX) {
        return Err(Wrong::new(
            "path is not a path",
            "send path=/sns/jscode2session, or leave it out for any path",
        ));
    }
    let late = if kind == Kind::Slow { SLOW_MS } else { 0 };
    let after = Duration::from_millis(input.count("after_ms", 0, AFTER_MS_MAX)?.unwrap_or(late));
    let times = input.count("times", 1, TIMES_MAX)?.unwrap_or(1);
    Ok((Fault { path: path.map(str::to_owned), kind, consume, after }, times))
}

/// The kind, and the names of the fields that only this kind takes.
fn read_kind(input: &Input) -> Result<(Kind, &'static [&'static str]), Wrong> {
    let kind = match input.text("kind")?.unwrap_or_default() {
        "busy" => Kind::Busy,
        "slow" => Kind::Slow,
        "reset" => Kind::Reset,
        "half_body" => Kind::HalfBody,
        "html_502" => Kind::Html502,
        "empty" => Kind::Empty,
        "bom" => Kind::Bom,
        "not_json" => Kind::NotJson,
        "legacy" => Kind::Legacy,
        "string_errcode" => Kind::StringErrcode,
        "extra_fields" => Kind::ExtraFields,
        "old_hints" => Kind::OldHints,
        "errcode" => return Ok((read_errcode(input)?, &["code", "errmsg"])),
        "redirect" => return Ok((read_redirect(input)?, &["location"])),
        "drip" => {
            let gap = input.count("gap_ms", 1, AFTER_MS_MAX)?.unwrap_or(DRIP_MS);
            return Ok((Kind::Drip { gap: Duration::from_millis(gap) }, &["gap_ms"]));
        }
        "huge_body" => {
            let padding_bytes = input.count("bytes", 1, HUGE_BYTES_MAX)?.unwrap_or(HUGE_BYTES);
            return Ok((Kind::HugeBody { padding_bytes }, &["bytes"]));
        }
        "gzip_bomb" => {
            let padding_bytes = input.count("bytes", 1, HUGE_BYTES_MAX)?.unwrap_or(HUGE_BYTES);
            return Ok((Kind::GzipBomb { padding_bytes }, &["bytes"]));
        }
        _ => {
            return Err(Wrong::new(
                "kind is missing or unknown",
                "send kind as one of busy, slow, reset, half_body, drip, html_502, huge_body, gzip_bomb, empty, \
                 bom, not_json, errcode, redirect, legacy, string_errcode, extra_fields, old_hints",
            ));
        }
    };
    Ok((kind, &[]))
}

fn read_errcode(input: &Input) -> Result<Kind, Wrong> {
    let code = input.integer("code")?.filter(|code| *code != 0);
    let code = code.ok_or_else(|| Wrong::new("code is missing or 0", "send code=40226, for example"))?;
    let text = input.text("errmsg")?.or_else(|| errcode::text_of(code)).unwrap_or("unknown error");
    Ok(Kind::Errcode { code, text: text.chars().take(TEXT_CHARS_MAX).collect() })
}

/// The default location is on the simulator, so that a client that follows it is seen in the record of calls.
fn read_redirect(input: &Input) -> Result<Kind, Wrong> {
    let location = input.text("location")?.unwrap_or("/redirected");
    if location.len() > TEXT_CHARS_MAX || location.bytes().any(|b| !(b'!'..=b'~').contains(&b)) {
        return Err(Wrong::new("location is not a URL", "send printable ASCII without spaces"));
    }
    Ok(Kind::Redirect { location: location.to_owned() })
}
