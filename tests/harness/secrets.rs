//! Every code, token and key that the tests use. When a process ends, what it wrote is searched for each of them, in
//! every form in which a program might have written it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The fewest bytes of what is searched for: anything shorter is found by chance.
const BYTES_MIN: usize = 8;

/// What was noted, and the forms of it by their first bytes: a log is read once, however many secrets there are.
#[derive(Default)]
struct Known {
    secrets: HashSet<String>,
    forms: HashMap<[u8; BYTES_MIN], Vec<(Vec<u8>, String)>>,
}

fn known() -> MutexGuard<'static, Known> {
    static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();
    KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a secret: it must never be seen in a log.
pub(crate) fn secret(text: impl Into<String>) -> String {
    let text = text.into();
    assert!(text.len() >= BYTES_MIN, "`{text}` is too short to be searched for");
    let mut known = known();
    if known.secrets.insert(text.clone()) {
        for form in forms(&text) {
            let start = form[..BYTES_MIN].try_into().unwrap();
            known.forms.entry(start).or_default().push((form, text.clone()));
        }
    }
    text
}

/// The secrets that stand in `log`, in whatever form.
pub(crate) fn found_in(log: &str) -> BTreeSet<String> {
    let (known, log) = (known(), log.as_bytes());
    let starts = log.windows(BYTES_MIN).enumerate();
    let here = starts.filter_map(|(at, start)| Some((at, known.forms.get(start)?)));
    let found =
        here.flat_map(|(at, forms)| forms.iter().filter(move |(form, _)| log[at..].starts_with(form)));
    found.map(|(_, secret)| secret.clone()).collect()
}

/// A secret as it stands, and as it stands in a URL, in base64, in hex, in `Debug` of its bytes. Of a token its signature
/// is enough: the rest can be guessed.
fn forms(secret: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::from([secret.to_owned(), secret.replace('/', "\\/")]);
    if let Some((_, signature)) = secret.rsplit_once('.').filter(|(head, _)| head.contains('.')) {
        forms.insert(signature.to_owned());
    }
    let encoded = || utf8_percent_encode(secret, NON_ALPHANUMERIC);
    forms.insert(encoded().to_string());
    let small = |part: &str| if part.starts_with('%') { part.to_lowercase() } else { part.to_owned() };
    forms.insert(encoded().map(small).collect());
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        // Inside something larger it begins at any of three places; what it shares a character with is not of it alone.
        for before in 0..3 {
            let encoded = engine.encode([vec![0; before], secret.as_bytes().to_vec()].concat());
            let whole = (before + secret.len()) / 3 * 4;
            forms.insert(encoded[[0, 2, 3][before]..whole].to_owned());
        }
    }
    let bytes = |one: fn(&u8) -> String, between: &str| {
        secret.as_bytes().iter().map(one).collect::<Vec<_>>().join(between)
    };
    forms.insert(bytes(|byte| format!("{byte:02x}"), ""));
    forms.insert(bytes(|byte| format!("{byte:02X}"), ""));
    forms.insert(bytes(u8::to_string, ", "));
    forms.into_iter().filter(|form| form.len() >= BYTES_MIN).map(String::into_bytes).collect()
}

#[test]
fn a_secret_is_found_in_every_form() {
    let key = secret("tiihtNczf5v6/KRy+wEUhQ==");
    let inside =
        |engine: &dyn Fn(&[u8]) -> String, before: &str| engine(format!("{before}{key}\"}}").as_bytes());
    let standard = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let url_safe = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    for shown in [
        format!("got {key}."),
        "session_key=tiihtNczf5v6%2FKRy%2BwEUhQ%3D%3D&".to_owned(),
        "session_key=tiihtNczf5v6%2fKRy%2bwEUhQ%3d%3d&".to_owned(),
        r#"{"session_key":"tiihtNczf5v6\/KRy+wEUhQ=="}"#.to_owned(),
        inside(&standard, "{\"k\":\""),
        inside(&standard, "{\"ke\":\""),
        inside(&standard, "{\"key\":\""),
        inside(&url_safe, "{\"k\":\""),
        format!("{:?}", key.as_bytes()),
        key.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ] {
        assert!(found_in(&shown).contains(&key), "not found in {shown}");
    }
    let token = secret("eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHkifQ.c2lnbmF0dXJlLW9mLW5vLWtleQ");
    assert!(found_in("signature c2lnbmF0dXJlLW9mLW5vLWtleQ").contains(&token));
    assert!(found_in("tiihtNczf5v6 eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHkifQ").is_empty());
}
