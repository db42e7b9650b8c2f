//! What must hold of every set of headers.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use pingora::http::{RequestHeader, ResponseHeader};

use super::*;

/// Two of the five names are not as they come, and one more is the gateway's own.
const OPENID: &str = "x-user-id";
const UNIONID: &str = "x-wx-union.id";
const ALSO: &str = "x-internal-user";

/// The names that only the gateway may set, as CGI writes them, without the `HTTP_`.
const OURS: [&str; 18] = [
    "X_USER_ID",
    "X_WX_UNION_ID",
    "X_WX_APPID",
    "X_WX_SOURCE",
    "X_WX_ENV",
    "X_WX_OPENID",
    "X_INTERNAL_USER",
    "X_WXGATE_ERROR",
    "X_REQUEST_ID",
    "X_REAL_IP",
    "X_FORWARDED_FOR",
    "X_FORWARDED_PROTO",
    "X_FORWARDED_HOST",
    "FORWARDED",
    "X_ORIGINAL_URL",
    "X_HTTP_METHOD_OVERRIDE",
    "TRUE_CLIENT_IP",
    "PROXY",
];

/// Reads a letter for who calls, and header lines. They are stripped and injected as those of a request that goes to a
/// service; then, on the wire:
/// - folded as CGI folds names, lines of one name joined, each of our names has exactly our value, or is not there;
/// - no login token is left, under any name that it is looked for;
/// - every other header is there as it came, values of one name in their order.
///
/// And of an answer nothing is removed but what says who calls.
pub fn headers(data: &[u8]) {
    let Some((&who, lines)) = data.split_first() else { return };
    let lines: Vec<_> = lines.split(|byte| *byte == b'\n').filter_map(field).collect();
    let (caller, injector) = (caller(who), injector());
    let mut request = RequestHeader::build("GET", b"/", None).expect("a request");
    for (name, value) in &lines {
        request.append_header(name.clone(), value.clone()).expect("a field");
    }
    let sources = TokenSources {
        headers: vec![AUTHORIZATION, HeaderName::from_static("x-token")],
        query: "token".into(),
    };
    forget_spelling(&mut request);
    remove_token(&mut request, &sources);
    injector.request(&mut request, caller.as_ref(), None, provenance(who));
    let mut wire = Vec::new();
    request.header_to_h1_wire(&mut wire);
    let sent: Vec<_> =
        wire.split(|byte| *byte == b'\n').filter_map(|line| field(line.strip_suffix(b"\r")?)).collect();
    check_ours(&sent, &expected(who));
    check_others(&lines, &sent);
    check_answer(&injector, &lines);
}

type Line = (String, HeaderValue);

/// A line as a field, its name as it is spelled; none if it is not one.
fn field(line: &[u8]) -> Option<Line> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    HeaderName::from_bytes(&line[..colon]).ok()?;
    let name = std::str::from_utf8(&line[..colon]).ok()?.to_owned();
    Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
}

fn injector() -> Injector {
    let name = HeaderName::from_static;
    let identity = Identity {
        openid: name(OPENID),
        appid: name("x-wx-appid"),
        unionid: name(UNIONID),
        source: name("x-wx-source"),
        env: name("x-wx-env"),
        env_value: Some("prod".into()),
        assertion: name("x-wx-assertion"),
        also_protected: vec![name(ALSO)],
    };
    Injector::new(&identity).expect("an injector")
}

fn caller(who: u8) -> Option<Prepared> {
    let value = HeaderValue::from_static;
    let unionid = (who & 2 != 0).then(|| value("oUnion"));
    (who & 1 != 0).then(|| Prepared {
        app: 0,
        appid: value("wx1111111111111111"),
        openid: value("oOpen"),
        unionid,
        successor: OnceLock::new(),
        assertions: Mutex::default(),
    })
}

fn provenance(who: u8) -> Provenance {
    Provenance {
        request_id: HeaderValue::from_static("id-1"),
        client: "192.0.2.1".parse().expect("an address"),
        peer: if who & 4 != 0 { "2001:db8::1" } else { "192.0.2.1" }.parse().expect("an address"),
        proto: "https",
        host: (who & 8 != 0).then(|| HeaderValue::from_static("gw.test")),
    }
}

/// What a service must find under each of our names.
fn expected(who: u8) -> BTreeMap<&'static str, &'static str> {
    let chain = if who & 4 != 0 { "192.0.2.1, 2001:db8::1" } else { "192.0.2.1" };
    let mut expected = BTreeMap::from([
        ("X_REQUEST_ID", "id-1"),
        ("X_REAL_IP", "192.0.2.1"),
        ("X_FORWARDED_FOR", chain),
        ("X_FORWARDED_PROTO", "https"),
    ]);
    if who & 8 != 0 {
        expected.insert("X_FORWARDED_HOST", "gw.test");
    }
    if who & 1 != 0 {
        let caller = [
            ("X_USER_ID", "oOpen"),
            ("X_WX_APPID", "wx1111111111111111"),
            ("X_WX_SOURCE", "wx_client"),
            ("X_WX_ENV", "prod"),
        ];
        expected.extend(caller);
        expected.extend((who & 2 != 0).then_some(("X_WX_UNION_ID", "oUnion")));
    }
    expected
}

fn check_ours(sent: &[Line], expected: &BTreeMap<&str, &str>) {
    let mut view: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    for (name, value) in sent {
        let folded =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
        view.entry(folded.collect()).or_default().push(value.as_bytes());
    }
    for name in OURS {
        let found = view.get(name).map(|values| values.join(&b", "[..]));
        assert_eq!(found.as_deref(), expected.get(name).map(|value| value.as_bytes()), "{name}");
    }
    let alien = |name: &&String| {
        (name.starts_with("X_WX_") || name.starts_with("X_FORWARDED_"))
            && !expected.contains_key(name.as_str())
    };
    assert_eq!(view.keys().find(alien), None);
}

fn check_others(came: &[Line], sent: &[Line]) {
    let bearer = |(name, value): &Line| {
        name.eq_ignore_ascii_case("authorization")
            && value.as_bytes().to_ascii_lowercase().starts_with(b"bearer")
    };
    assert!(
        !sent.iter().any(|line| bearer(line) || line.0.eq_ignore_ascii_case("x-token")),
        "a token is left"
    );
    let token = came.iter().any(bearer);
    let gone = |name: &str| name == "x-token" || name == "authorization" && token;
    let kept = by_name(came, |name| !gone(name) && !says_who(name) && !says_where(name));
    let others = by_name(sent, |name| !says_who(name) && !says_where(name));
    assert_eq!(others, kept, "other headers are not as they came");
}

fn check_answer(injector: &Injector, lines: &[Line]) {
    let mut response = ResponseHeader::build(200, None).expect("an answer");
    for (name, value) in lines {
        response.append_header(name.clone(), value.clone()).expect("a field");
    }
    injector.response(&mut response);
    let left: Vec<_> =
        response.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect();
    assert_eq!(by_name(&left, |_| true), by_name(lines, |name| !says_who(name)));
}

/// The values of each name that is wanted, in their order.
fn by_name(lines: &[Line], wanted: impl Fn(&str) -> bool) -> BTreeMap<String, Vec<&[u8]>> {
    let mut map: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    let named = lines.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes()));
    for (name, value) in named.filter(|(name, _)| wanted(name)) {
        map.entry(name).or_default().push(value);
    }
    map
}

fn says_who(name: &str) -> bool {
    let letters = letters(name);
    letters.starts_with("xwx") || [OPENID, UNIONID, ALSO].iter().any(|ours| self::letters(ours) == letters)
}

fn says_where(name: &str) -> bool {
    let letters = letters(name);
    letters.starts_with("xforwarded")
        || protected::PROVENANCE.iter().any(|listed| self::letters(listed) == letters)
}

/// Letters and digits alone: the widest folding that any server does.
fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
