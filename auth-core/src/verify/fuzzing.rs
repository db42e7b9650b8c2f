//! What must hold of everything that is taken for a login token.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::*;
use crate::ManualClock;
use crate::keys::Key;
use crate::token::mint;

const NOW: u64 = 1_800_000_000;
const LEEWAY_SECS: u64 = 5;
const ISSUER: &str = "wxgate";
const APP: &str = "wx1111111111111111";

/// Keys of nobody, one of each algorithm.
const KEYS: [(&str, &str); 3] = [
    ("hs", "a key of thirty-two bytes or more"),
    (
        "es",
        "-----BEGIN PRIVATE KEY-----\n\
     MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgF5vUwJV0D7ZBqwov\n\
     HQB+O/A9vJhytx+wLqrTlWWD/Y6hRANCAATQ8nnUVw4xTcdd0yqy4WzkWMpvGDyT\n\
     z9ImVDGsAX7eNisvvzTbPu8ARQSH94eYRknP29rdjYN/WgF/+VKm5L4C\n\
     -----END PRIVATE KEY-----",
    ),
    (
        "ed",
        "-----BEGIN PRIVATE KEY-----\n\
     MC4CAQAwBQYDK2VwBCIEIAtDkLPS+TfGlp2StpymAdPlYE09/Y2B40mg156etySz\n\
     -----END PRIVATE KEY-----",
    ),
];

struct Bench {
    keys: KeyRing,
    /// What the keys have signed.
    tokens: Vec<String>,
    remembering: Verifier<()>,
    forgetful: Verifier<()>,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let keys = KEYS.map(|(kid, material)| Key::parse(kid, material.as_bytes()).expect("a key"));
    let keys = KeyRing::new(keys.into()).expect("a ring");
    let minted =
        keys.iter().flat_map(|key| callers().map(|caller| mint(key, ISSUER, &caller).expose().to_owned()));
    let foreign = sign(&keys, br#"{"typ":"JWT","kid":"hs","alg":"HS256"}"#, &claims_of(&minted_by(&keys)));
    Bench {
        tokens: minted.chain([foreign]).collect(),
        remembering: verifier(&keys, 1000),
        forgetful: verifier(&keys, 0),
        keys,
    }
});

/// Reads a letter and what follows it: `t` a token; `c` the claims of a token that a key signs; `h` a header, a line feed and
/// claims that a key signs. Then:
/// - a token that passes as it came is one that the keys have signed, byte for byte; of an ECDSA signature, which anybody can
///   turn into its twin, all but the signature;
/// - claims that pass say so themselves: who, of which maker, for which app, from when until when, and nobody else passes;
/// - a header that passes names this key and its algorithm, and asks for nothing that must be understood;
/// - the verdict is the same with a memory, at first and again, and without one.
pub fn token(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let bench = &*BENCH;
    match kind {
        b't' => {
            let Ok(token) = std::str::from_utf8(rest) else { return };
            if verdict(bench, token).is_ok() {
                assert!(
                    bench.tokens.iter().any(|known| is_same(known, token)),
                    "{token} was signed by nobody"
                );
            }
        }
        b'c' => {
            let token = sign_with_own_header(&bench.keys, rest);
            if let Ok(verified) = verdict(bench, &token) {
                check_claims(&verified.caller, rest);
            }
        }
        b'h' => {
            let mut lines = rest.splitn(2, |byte| *byte == b'\n');
            let (header, claims) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
            if let Ok(verified) = verdict(bench, &sign(&bench.keys, header, claims)) {
                check_header(header);
                check_claims(&verified.caller, claims);
            }
        }
        _ => {}
    }
}

fn verifier(keys: &KeyRing, cache_entries: u64) -> Verifier<()> {
    let apps = [AppId::parse(APP).expect("an appid")].into();
    let session_lifetime_secs = 30 * 86_400;
    let policy = Policy {
        issuer: ISSUER.into(),
        apps,
        leeway_secs: LEEWAY_SECS,
        session_lifetime_secs,
        cache_entries,
    };
    Verifier::new(keys.clone(), policy, Arc::default(), Arc::new(ManualClock::at(NOW)), |_| ())
}

fn callers() -> [Caller; 2] {
    [None, Some("ocMvos6NjeKLIBqg5Mr9QjxrP1FA")].map(|unionid| Caller {
        app: AppId::parse(APP).expect("an appid"),
        openid: OpenId::parse("oGZUI0egBJY1zhBYw2KhdUfwVJJE").expect("an openid"),
        unionid: unionid.map(|unionid| UnionId::parse(unionid).expect("a unionid")),
        sid: Sid::from_bytes([9; 16]),
        logged_in_at: None,
        session_ends_at: None,
        issued_at: NOW,
        expires_at: NOW + 7200,
        signed_until: NOW + 7200,
    })
}

fn minted_by(keys: &KeyRing) -> String {
    mint(keys.signing(), ISSUER, &callers()[0]).expose().to_owned()
}

fn claims_of(token: &str) -> Vec<u8> {
    let claims = token.split('.').nth(1).expect("three segments");
    URL_SAFE_NO_PAD.decode(claims).expect("base64url")
}

fn sign(keys: &KeyRing, header: &[u8], claims: &[u8]) -> String {
    signed(keys, &URL_SAFE_NO_PAD.encode(header), claims)
}

fn sign_with_own_header(keys: &KeyRing, claims: &[u8]) -> String {
    signed(keys, keys.signing().header(), claims)
}

fn signed(keys: &KeyRing, header: &str, claims: &[u8]) -> String {
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = keys.signing().sign(message.as_bytes());
    format!("{message}.{signature}")
}

/// What every verifier says, each time.
fn verdict(bench: &Bench, token: &str) -> Result<Arc<Verified<()>>, TokenError> {
    let verdict = bench.forgetful.verify(token);
    let said = |verdict: &Result<Arc<Verified<()>>, TokenError>| match verdict {
        Ok(verified) => Ok(format!("{:?}", verified.caller)),
        Err(error) => Err(*error),
    };
    for _ in 0..2 {
        assert_eq!(said(&bench.remembering.verify(token)), said(&verdict));
    }
    verdict
}

fn is_same(known: &str, token: &str) -> bool {
    let ecdsa = known.starts_with(&format!("{}.", BENCH.keys.find("es").expect("the key").header()));
    known == token
        || ecdsa && known.rsplit_once('.').map(|known| known.0) == token.rsplit_once('.').map(|token| token.0)
}

/// The members of what a key signed. One that is ignored may hold what no [`Value`] can: the escape of half a character, a number
/// out of all range. Then nothing more is said of the others.
fn object(json: &[u8]) -> Option<Map<String, Value>> {
    let json = std::str::from_utf8(json).expect("JSON is UTF-8");
    let _: HashMap<String, IgnoredAny> = serde_json::from_str(json).expect("a JSON object");
    serde_json::from_str(json).ok()
}

fn check_header(header: &[u8]) {
    let Some(header) = object(header) else { return };
    assert_eq!(header.get("alg").and_then(Value::as_str), Some("HS256"));
    assert_eq!(header.get("kid").and_then(Value::as_str), Some("hs"));
    assert!(!["crit", "b64", "zip"].iter().any(|name| header.contains_key(*name)));
}

fn check_claims(caller: &Caller, claims: &[u8]) {
    let Some(claims) = object(claims) else { return };
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let number = |name: &str| claims.get(name).and_then(Value::as_u64);
    assert_eq!((text("typ"), text("iss"), text("aud")), (Some("login"), Some(ISSUER), Some(APP)));
    assert_eq!((text("aud"), text("sub")), (Some(caller.app.as_str()), Some(caller.openid.as_str())));
    assert_eq!(text("sid"), Some(caller.sid.to_string().as_str()));
    let unionid = claims.get("unionid").map(|unionid| unionid.as_str().expect("a text"));
    assert_eq!(unionid, caller.unionid.as_ref().map(UnionId::as_str));
    let (iat, exp) = (number("iat").expect("an iat"), number("exp").expect("an exp"));
    assert!(exp > iat && exp - iat <= TOKEN_LIFE_SECS_MAX && exp == caller.expires_at);
    assert!(exp + LEEWAY_SECS > NOW && iat <= NOW + LEEWAY_SECS);
    if let Some(nbf) = claims.get("nbf") {
        assert!(nbf.as_u64().expect("a number") <= NOW + LEEWAY_SECS);
    }
}
