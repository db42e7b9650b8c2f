//! Which cases there are: every one of them is run, or stands here with the reason why it is not.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::harness::{root, sources};

/// The groups: letter, subject, number of cases.
const GROUPS: [(char, &str, u32); 14] = [
    ('A', "Path and route confusion", 34),
    ('B', "Header spoofing, aliases, hop-by-hop", 32),
    ('C', "Forwarded headers and the client's address", 14),
    ('D', "Framing and smuggling", 26),
    ('E', "Token verification", 27),
    ('F', "Verification cache", 14),
    ('G', "Login and the exchange at WeChat", 22),
    ('H', "Sessions and logout", 15),
    ('I', "Upgrade and WebSocket", 13),
    ('J', "Private listener, configuration, fail-closed", 18),
    ('K', "TLS", 11),
    ('L', "Resource limits", 18),
    ('M', "Secrets, logs, timing", 11),
    ('N', "Responses, retries, pools", 11),
];

/// Cases that do not apply, with the reason.
const NOT_APPLICABLE: &[(&str, &str)] = &[
    (
        "F12",
        "a token is bound to no address and no client: a phone changes both, and anybody can write a User-Agent",
    ),
    ("H01", "there is no refresh token: who is not in any more logs in again, and a login code works once"),
    ("H04", "there is one kind of token: a JWT of another `typ` under the same key is refused (E14)"),
    (
        "H13",
        "there is no cookie mode: a mini program has no cookies, and a token is taken from headers alone",
    ),
    (
        "H14",
        "a user may have several sessions, and a new login ends no other; `store.sessions_max` bounds them all together",
    ),
    ("I06", "there are no cookies: a page of another origin has no credential to ride on"),
    ("J17", "not built yet: an upgrade without a pause; at SIGTERM running requests finish before the end"),
    (
        "K03",
        "clients are not asked for a certificate: there is no policy that a spelling of the name could avoid",
    ),
    ("K11", "services are reached without TLS: an upstream has no setting for it"),
    ("L15", "no route, rewrite or rule of the config is a regular expression"),
    (
        "M06",
        "there is no error page of the operator's, no fallback service and no mirror: a request goes to the one upstream of its route, or nowhere",
    ),
    ("M10", "the gateway serves no HTML: its answers are JSON, its metrics and health plain text"),
    (
        "N09",
        "services are spoken to in plain HTTP/1.1: a connection has no certificate, SNI or ALPN that could differ",
    ),
];

/// Cases whose tests stand beside the code: what is held, and the file and function that hold it.
const HELD_ELSEWHERE: &[(&str, &str, &str, &str)] = &[
    (
        "J15",
        "a config that changes a hundred times under load fails no request, and a wrong one leaves the last good one in force",
        "tests/reload.rs",
        "a_hundred_changes_under_load_fail_no_request",
    ),
    (
        "K08",
        "a renewed certificate is shown to new connections without a restart, and those that are open stay so",
        "tests/reload.rs",
        "a_new_certificate_is_shown_to_new_connections",
    ),
    (
        "B19",
        "a user id that WeChat gives is refused if it holds anything that could not stand in a header as it is",
        "auth-core/src/identity.rs",
        "a_user_id_holds_nothing_that_a_header_could_not",
    ),
    (
        "E24",
        "a clock set back or forward moves every verdict with it, remembered or not, and no time is too early or too late to compare",
        "auth-core/src/verify/tests/remembered.rs",
        "a_clock_that_is_set_moves_every_verdict_with_it",
    ),
    (
        "E27",
        "the vectors of Project Wycheproof for HS256, ES256 and Ed25519 are judged as flagged, five of them otherwise with the reason",
        "auth-core/src/keys/tests/wycheproof.rs",
        "the_tokens_of_project_wycheproof_are_judged_as_flagged",
    ),
    (
        "F08",
        "a verdict ends with the keys that gave it: neither the cache nor a connection speaks for a token of a key that is gone",
        "gateway/src/steps/authenticate/tests.rs",
        "what_a_connection_remembers_ends_with_the_verifier_that_said_so",
    ),
    (
        "F11",
        "a refusal is not remembered: a token that failed for a cause that passes, such as the clock, is good again with its end",
        "auth-core/src/verify/tests/remembered.rs",
        "a_refusal_ends_with_its_cause",
    ),
    (
        "F13",
        "the cache knows tokens by fingerprints of 16 bytes under a key of the process: it holds no token that could be read out",
        "auth-core/src/verify/tests/remembered.rs",
        "what_is_remembered_is_no_token",
    ),
    (
        "G07",
        "a code that WeChat does not know and one that was used before are told apart: `code_invalid` and `code_used`, both \
         401",
        "tests/wechat_answers.rs",
        "every_errcode_has_its_status_and_reason",
    ),
    (
        "G08",
        "a user whom WeChat blocks is refused with 403 `user_blocked`, told apart from a bad code",
        "tests/wechat_answers.rs",
        "every_errcode_has_its_status_and_reason",
    ),
    (
        "G09",
        "WeChat's minute quota is a 429 that says when to come back",
        "tests/wechat_answers.rs",
        "a_quota_says_when_to_come_back",
    ),
    (
        "G22",
        "that WeChat's name has no address is not remembered: each login asks anew, and the first after the name is back \
         works, without a restart",
        "auth-core/src/wechat/client/tests.rs",
        "a_name_that_has_an_address_again_is_asked_again",
    ),
    (
        "H05",
        "a logout is in force with the next request on every route and endpoint, and another session of the same user goes on; an open WebSocket closes with its session (I05)",
        "tests/sessions.rs",
        "a_logout_ends_this_session_at_once_and_no_other",
    ),
    (
        "H08",
        "who logged out stays logged out after the process ended, was killed or was interrupted, and everybody else stays in",
        "tests/restarts.rs",
        "a_restarted_gateway_knows_its_sessions_and_who_logged_out",
    ),
    (
        "H09",
        "what ends on one node is refused on all that share its Redis, told within a second and read again every \
         `store.redis_reread`; by those that start later, too, and when Redis lost it; while Redis is away each route says \
         whether callers pass (`on_store_down`)",
        "tests/nodes/ends.rs",
        "who_logs_out_on_one_node_is_refused_on_all",
    ),
    (
        "H12",
        "ids of sessions are 128 bits from the operating system's generator: of two hundred thousand none repeats, and no bit of one says anything of it or of the next",
        "auth-core/src/identity.rs",
        "ids_of_sessions_have_no_pattern",
    ),
    (
        "K05",
        "a listener for TLS without a certificate, or a certificate without its files, does not start: no empty section \
         turns TLS off",
        "gateway/src/config/tests/tls.rs",
        "a_listener_for_tls_has_a_port_and_a_certificate",
    ),
    (
        "K06",
        "a certificate or key that is missing, corrupt, empty or does not fit is a mistake at the start, by the name of the \
         file and never by its content",
        "gateway/src/config/tests/tls.rs",
        "a_certificate_that_cannot_be_served_is_a_mistake",
    ),
    (
        "L07",
        "the one other server that is read from, WeChat's, is read no further than an answer can reach",
        "tests/security/wechat.rs",
        "an_answer_is_read_as_far_as_an_answer_can_reach",
    ),
    (
        "L17",
        "a limiter remembers a bounded number of keys, and counts new ones however many there are",
        "gateway/src/steps/policy/limiter.rs",
        "a_new_key_is_counted_however_many_are_remembered",
    ),
    (
        "N08",
        "a POST, PUT or DELETE whose service closes after reading it is 502 and was sent once; a GET on a connection that had been kept alive is asked once more",
        "tests/failing_services.rs",
        "a_request_that_may_have_been_done_is_not_sent_again",
    ),
];

/// One case of the catalogue. While it lives, a failing test says which one it was.
#[must_use = "it names the case when the test fails"]
pub(crate) struct Case {
    id: &'static str,
    because: &'static str,
}

/// Begins a case: its id, and in one sentence what is held and why. Each id is begun in one place.
pub(crate) const fn case(id: &'static str, because: &'static str) -> Case {
    Case { id, because }
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("case {} failed: {}", self.id, self.because);
        }
    }
}

/// Where a case stands.
enum Stand {
    Run { because: String, place: String },
    NotApplicable(String),
}

#[test]
fn every_case_is_run_or_has_a_reason() {
    let mut cases = BTreeMap::new();
    let mut note = |id: &str, stand| {
        assert!(cases.insert(id.to_owned(), stand).is_none(), "{id} stands in two places");
    };
    let folder = root().join("tests/security");
    for path in sources(&["tests/security"]) {
        let name = path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
        if name == "catalogue.rs" {
            continue;
        }
        for (id, because) in begun_in(&std::fs::read_to_string(&path).unwrap()) {
            note(&id, Stand::Run { because, place: format!("[{name}]({name})") });
        }
    }
    for (id, because, file, function) in HELD_ELSEWHERE.iter().copied() {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains(&format!("fn {function}(")), "{id}: {file} has no {function}");
        note(id, Stand::Run { because: because.to_owned(), place: format!("[{function}](../../{file})") });
    }
    for (id, reason) in NOT_APPLICABLE.iter().copied() {
        note(id, Stand::NotApplicable(reason.to_owned()));
    }
    let expected: Vec<String> = GROUPS
        .iter()
        .flat_map(|(letter, _, count)| (1..=*count).map(move |n| format!("{letter}{n:02}")))
        .collect();
    let missing: Vec<_> = expected.iter().filter(|id| !cases.contains_key(*id)).collect();
    assert!(missing.is_empty(), "no test and no reason: {missing:?}");
    let unknown: Vec<_> = cases.keys().filter(|id| !expected.contains(id)).collect();
    assert!(unknown.is_empty(), "not in the catalogue: {unknown:?}");

    let table = table(&cases);
    let shown = std::fs::read_to_string(root().join("tests/security/README.md")).unwrap_or_default();
    if shown != table {
        let fresh = root().join("target/security-cases.md");
        std::fs::write(&fresh, table).unwrap();
        panic!("tests/security/README.md is stale: cp {} tests/security/README.md", fresh.display());
    }
}

/// Every `case("A01", "…")` of a source file. A sentence may be folded over lines with a backslash.
fn begun_in(text: &str) -> Vec<(String, String)> {
    let calls = text.split("case(").skip(1);
    let literals = calls.filter_map(|call| {
        let mut parts = call.splitn(5, '"');
        let (before, id, between, because) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (before.trim().is_empty() && between.trim() == ",").then(|| (id.to_owned(), because.to_owned()))
    });
    let one_line = |text: String| text.split('\\').map(str::trim).collect::<Vec<_>>().join(" ");
    literals.map(|(id, because)| (id, one_line(because))).collect()
}

fn table(cases: &BTreeMap<String, Stand>) -> String {
    let run = |letter: Option<char>| {
        let of_group = |id: &str| letter.is_none_or(|letter| id.starts_with(letter));
        cases.iter().filter(|(id, stand)| of_group(id) && matches!(stand, Stand::Run { .. })).count()
    };
    let mut text = format!(
        "# Security cases\n\nWhat published attacks on gateways of this kind come to here. This page is made from the tests, \
         and a test holds it to them.\n\n{} cases: {} run on every test run, {} do not apply.\n",
        cases.len(),
        run(None),
        cases.len() - run(None)
    );
    for (letter, subject, count) in GROUPS {
        let held = run(Some(letter));
        let (rest, heading) = (count as usize - held, format!("{letter}. {subject}"));
        let _ = write!(
            text,
            "\n## {heading}\n\n{held} run, {rest} not applicable.\n\n| id | what is held | where |\n|---|---|---|\n"
        );
        for (id, stand) in cases.iter().filter(|(id, _)| id.starts_with(letter)) {
            let _ = match stand {
                Stand::Run { because, place } => writeln!(text, "| {id} | {because} | {place} |"),
                Stand::NotApplicable(reason) => writeln!(text, "| {id} | does not apply: {reason} | |"),
            };
        }
    }
    text
}
