//! Step 6: one line and the metrics for every request, refused ones too.

mod stamp;
mod writer;

use std::fmt::{self, Write};
use std::time::Duration;

use auth_core::Caller;
use pingora::proxy::Session;

use crate::address;
use crate::context::Context;
use crate::denied::Denied;
use crate::steps::route::{Destination, Endpoint, RouteId};
use crate::target::Host;

use stamp::Stamp;
pub(crate) use writer::{AccessLog, Style};

/// How a request ended, in one word.
pub(crate) fn outcome(context: &Context, failed: bool) -> &'static str {
    match (&context.denied, context.destination, context.permit.is_some()) {
        (Some(Denied::UpstreamUnavailable | Denied::UpstreamFailed | Denied::UpstreamTimeout), ..) => {
            "failed"
        }
        (Some(_), ..) => "refused",
        (None, Some(Destination::Endpoint(_)), _) => "answered",
        (None, _, true) if failed => "aborted",
        (None, _, true) => "proxied",
        // Nothing was decided: the client went away or never sent a request.
        (None, _, false) => "aborted",
    }
}

/// Which row of the metrics a request counts in: the routes, then the endpoints, then what found no route.
pub(crate) fn slot(destination: Option<Destination>, routes: usize) -> usize {
    match destination {
        Some(Destination::Route(RouteId(n))) => n,
        Some(Destination::Endpoint(endpoint)) => routes + endpoint as usize,
        None => routes + ENDPOINTS.len(),
    }
}

/// In the order of their discriminants.
pub(crate) const ENDPOINTS: [Endpoint; 4] =
    [Endpoint::Login, Endpoint::Logout, Endpoint::Session, Endpoint::Jwks];

/// What the line of one request says.
pub(crate) struct Line<'a> {
    pub(crate) at_millis: u64,
    pub(crate) session: &'a Session,
    pub(crate) context: &'a Context,
    pub(crate) route: &'a str,
    pub(crate) outcome: &'static str,
    pub(crate) status: u16,
    pub(crate) took: Duration,
}

impl Line<'_> {
    /// As a JSON object. Query, headers and bodies are never in it, nor a token, nor a whole openid.
    ///
    /// Written piece by piece: `write!` takes three times the instructions, and there is one such line a request.
    pub(crate) fn write_json(&self, stamp: &mut Stamp, out: &mut String) {
        let (context, request) = (self.context, self.session.req_header());
        out.push_str("{\"time\":\"");
        stamp.write(self.at_millis, out);
        out.push_str("\",\"level\":\"INFO\",\"target\":\"access\"");
        plain(out, "request_id", context.request_id.as_str());
        out.push_str(",\"client\":\"");
        address::write(out, context.client);
        out.push('"');
        // A method is a token (RFC 9110 §5.6.2): no quote, no backslash, no space.
        plain(out, "method", request.method.as_str());
        text(out, "host", self.host());
        text(out, "path", self.path());
        text(out, "route", self.route);
        plain(out, "outcome", self.outcome);
        number(out, "status", u64::from(self.status));
        if let Some(denied) = &context.denied {
            plain(out, "denied.reason", denied.code());
        }
        if let Some(peer) = &context.upstream {
            plain(out, "upstream.addr", &peer.shown);
        }
        if let Some(caller) = self.caller() {
            let openid = caller.openid.as_str();
            out.push_str(",\"user\":\"");
            masked(openid).write(out);
            out.push_str("\",\"sid\":\"");
            caller.sid.write(out);
            out.push('"');
        }
        number(out, "bytes_in", self.session.body_bytes_read() as u64);
        number(out, "bytes_out", self.session.body_bytes_sent() as u64);
        millis_of(out, "duration_ms", self.took);
        if let Some(took) = context.upstream_took {
            millis_of(out, "upstream_ms", took);
        }
        out.push_str("}\n");
    }

    /// For a person at a terminal.
    pub(crate) fn write_text(&self, stamp: &mut Stamp, out: &mut String) {
        stamp.write(self.at_millis, out);
        let _ = write!(out, " {} {} ", self.status, self.session.req_header().method);
        escaped(out, self.path());
        let _ = write!(out, " {} {:.1}ms", self.outcome, self.took.as_secs_f64() * 1000.0);
        if let Some(denied) = &self.context.denied {
            let _ = write!(out, " {}", denied.code());
        }
        if let Some(caller) = self.caller() {
            let _ = write!(out, " user={} sid={}", masked(caller.openid.as_str()), caller.sid);
        }
        let _ = writeln!(out, " client={} id={}", self.context.client, self.context.request_id.as_str());
    }

    /// The path is canonical by now, or the request was refused for not having a canonical one: then it is not shown.
    fn path(&self) -> &str {
        match &self.context.denied {
            Some(Denied::BadTarget(_)) => "",
            _ => self.session.req_header().uri.path(),
        }
    }

    /// Canonical by the time that a route is known. Of a request that was refused before, it is shown if it is a host at
    /// all: anything may stand there, a token pasted into the wrong line too.
    fn host(&self) -> &str {
        let host = self.session.req_header().headers.get(http::header::HOST);
        let sure = self.context.destination.is_some();
        let host = host.filter(|host| sure || Host::parse(host.as_bytes()).is_some());
        host.and_then(|host| host.to_str().ok()).unwrap_or("")
    }

    fn caller(&self) -> Option<&Caller> {
        Some(&self.context.permit.as_ref()?.caller()?.caller)
    }
}

fn text(out: &mut String, key: &str, value: &str) {
    out.extend([",\"", key, "\":\""]);
    escaped(out, value);
    out.push('"');
}

/// A value whose alphabet has nothing to escape.
fn plain(out: &mut String, key: &str, value: &str) {
    out.extend([",\"", key, "\":\"", value, "\""]);
}

fn number(out: &mut String, key: &str, value: u64) {
    let mut digits = itoa::Buffer::new();
    out.extend([",\"", key, "\":", digits.format(value)]);
}

/// Three decimals: microseconds.
fn millis_of(out: &mut String, key: &str, took: Duration) {
    number(out, key, took.as_secs() * 1000 + u64::from(took.subsec_millis()));
    out.push('.');
    stamp::three_digits(out, took.subsec_micros() % 1000);
}

/// What needs no escape.
const STANDS: [bool; 256] = {
    let mut stands = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        stands[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    stands
};

/// Whatever could end the line, the string or the terminal's patience is written as an escape (RFC 8259 §7). Only
/// visible ASCII stands as it is: a right-to-left mark in a path must not turn the line round.
fn escaped(out: &mut String, value: &str) {
    if value.bytes().all(|byte| STANDS[usize::from(byte)]) {
        out.push_str(value);
        return;
    }
    let mut units = [0; 2];
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
}

/// Enough of an openid to follow one user through a log, too little to be the user.
pub(crate) fn masked(openid: &str) -> Masked<'_> {
    match (openid.get(..4), openid.get(openid.len().saturating_sub(4)..)) {
        (Some(head), Some(tail)) if openid.len() >= 16 => Masked(head, tail),
        _ => Masked("", ""),
    }
}

/// How an openid begins and how it ends.
pub(crate) struct Masked<'a>(&'a str, &'a str);

impl Masked<'_> {
    fn write(&self, out: &mut String) {
        out.extend([self.0, "****", self.1]);
    }
}

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}****{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_client_sends_can_end_the_line() {
        let mut out = String::new();
        escaped(&mut out, "a\n\"\\\u{1b}\u{202e}\u{1f600} b");
        assert_eq!(out, "a\\u000a\\\"\\\\\\u001b\\u202e\\ud83d\\ude00 b");
    }

    #[test]
    fn an_openid_is_shown_in_part() {
        let mut out = String::new();
        masked("oGZUI0egBJY1zhBYw2KhdUfwVJJE").write(&mut out);
        masked("short").write(&mut out);
        assert_eq!(out, "oGZU****VJJE****");
        assert_eq!(masked("oGZUI0egBJY1zhBYw2KhdUfwVJJE").to_string(), "oGZU****VJJE");
    }
}
