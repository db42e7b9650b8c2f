use proptest::prelude::*;

use super::*;

fn path(raw: &str) -> Result<String, BadTarget> {
    canonical(raw.as_bytes(), [b"gw.test".as_slice()].into_iter(), 8192)
        .map(|target| target.path.into_owned())
}

#[test]
fn a_path_has_one_spelling() {
    for (raw, canonical) in [
        ("/", "/"),
        ("/goods/1", "/goods/1"),
        ("/goods/", "/goods/"),
        ("/%67oods/%31", "/goods/1"),
        ("/%e4%b8%ad", "/%E4%B8%AD"),
        ("/a%20b", "/a%20b"),
        ("/a%3fb", "/a%3Fb"),
        ("/a%23b", "/a%23b"),
        ("/a%25b", "/a%25b"),
        ("/a|b{c}", "/a%7Cb%7Bc%7D"),
        ("/a;x=1/b", "/a;x=1/b"),
        ("/a/;x=1", "/a/;x=1"),
        ("/internal.json", "/internal.json"),
        ("/...", "/..."),
        ("/.well-known/jwks.json", "/.well-known/jwks.json"),
        ("/*", "/*"),
    ] {
        assert_eq!(path(raw).as_deref(), Ok(canonical), "{raw}");
        assert_eq!(path(canonical).as_deref(), Ok(canonical), "{raw}, twice");
    }
}

#[test]
fn what_two_readers_could_read_in_two_ways_is_refused() {
    for (raw, because) in [
        ("/public/../api", BadTarget::DotSegment),
        ("/public/%2e%2e/api", BadTarget::DotSegment),
        ("/public/.%2E/api", BadTarget::DotSegment),
        ("/public/%2e/x", BadTarget::DotSegment),
        ("/public/..", BadTarget::DotSegment),
        ("/public/.", BadTarget::DotSegment),
        ("/public/..;/api", BadTarget::DotSegment),
        ("/public/..;a=b/api", BadTarget::DotSegment),
        ("/public/..%3Ba/api", BadTarget::DotSegment),
        ("/public/.%2e;x/api", BadTarget::DotSegment),
        ("/public/..%2fapi", BadTarget::ForbiddenEscape),
        ("/public/a%2Fb", BadTarget::ForbiddenEscape),
        ("/public/..%5capi", BadTarget::ForbiddenEscape),
        ("/public/%00", BadTarget::ForbiddenEscape),
        ("/public/%0d%0aX:%20y", BadTarget::ForbiddenEscape),
        ("/public/%09", BadTarget::ForbiddenEscape),
        ("/public/%7f", BadTarget::ForbiddenEscape),
        ("/public/%c2%85", BadTarget::ForbiddenEscape),
        ("/public/%252e%252e/api", BadTarget::ForbiddenEscape),
        ("/public/%25%32%65", BadTarget::ForbiddenEscape),
        ("/public/..\\api", BadTarget::RawByte),
        ("/public#/../api", BadTarget::RawByte),
        ("/public/a b", BadTarget::RawByte),
        ("/public/\u{7f}", BadTarget::RawByte),
        ("/public/中", BadTarget::RawByte),
        ("//api", BadTarget::EmptySegment),
        ("/api//x", BadTarget::EmptySegment),
        ("/api//", BadTarget::EmptySegment),
        ("/api/;x/y", BadTarget::EmptySegment),
        ("/api/%3bx/y", BadTarget::EmptySegment),
        ("/;/api", BadTarget::EmptySegment),
        ("/api/%", BadTarget::BadEscape),
        ("/api/%2", BadTarget::BadEscape),
        ("/api/%zz", BadTarget::BadEscape),
        ("/public/%u002e", BadTarget::BadEscape),
        ("/public/%ff", BadTarget::NotUtf8),
        ("/public/%c0%ae", BadTarget::NotUtf8),
        ("/public/%e0%80%af", BadTarget::NotUtf8),
        ("*", BadTarget::NotAPath),
        ("", BadTarget::NotAPath),
        ("api", BadTarget::NotAPath),
        ("?x", BadTarget::NotAPath),
        ("ftp://gw.test/", BadTarget::NotAPath),
    ] {
        assert_eq!(path(raw), Err(because), "{raw:?}");
    }
}

#[test]
fn the_request_line_holds_the_target_as_it_came() {
    let of = |head: &'static str| of_request_line(head.as_bytes()).map(|t| std::str::from_utf8(t).unwrap());
    assert_eq!(of("GET /a?b#c HTTP/1.1\r\nHost: x y\r\n\r\n"), Some("/a?b#c"));
    assert_eq!(of("\r\nGET /a b HTTP/1.1\r\n"), Some("/a b"));
    assert_eq!(of("GET  HTTP/1.1\r\n"), Some(""));
    assert_eq!(of("GET HTTP/1.1\r\n"), None);
    assert_eq!(of(""), None);
}

#[test]
fn a_query_is_kept_and_takes_no_part() {
    let target = canonical(b"/api?x=/public/&y=%zz?", [b"gw.test".as_slice()].into_iter(), 8192).unwrap();
    assert_eq!((target.path.as_ref(), target.query), ("/api", Some("x=/public/&y=%zz?")));
    assert_eq!(target.rewritten(b"/api?x=/public/&y=%zz?"), None);
    assert_eq!(path("/api?x=#/public"), Err(BadTarget::RawByte));
}

#[test]
fn an_absolute_form_must_name_the_same_host() {
    let target = |raw: &'static str| canonical(raw.as_bytes(), [b"gw.test".as_slice()].into_iter(), 8192);
    assert_eq!(
        target("http://GW.test/api").unwrap().rewritten(b"http://GW.test/api").as_deref(),
        Some("/api")
    );
    assert_eq!(target("HTTP://gw.test").unwrap().path, "/");
    for other in [
        "http://other.test/api",
        "http://gw.test:81/api",
        "http://u@gw.test/api",
        "http:///api",
        "http://gw.test?x",
    ] {
        assert!(target(other).is_err(), "{other} passed");
    }
}

#[test]
fn one_host_and_only_one() {
    let none: [&[u8]; 0] = [];
    assert_eq!(canonical(b"/", none.into_iter(), 8192), Err(BadTarget::BadHost));
    assert_eq!(
        canonical(b"/", [b"a".as_slice(), b"a".as_slice()].into_iter(), 8192),
        Err(BadTarget::BadHost)
    );
}

#[test]
fn a_target_has_a_longest_length() {
    let long = format!("/{}", "a".repeat(8191));
    assert!(path(&long).is_ok());
    assert_eq!(path(&format!("{long}a")), Err(BadTarget::TooLong));
}

/// Numbers that look random, and are the same for the same seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

/// The value that decides is the value that is sent on: read again, the rewritten target is the same, and canonical.
#[test]
fn a_million_targets_are_refused_or_sent_on_as_they_were_decided_on() {
    const PIECES: [&str; 24] = [
        "/",
        "/",
        "/",
        ".",
        "..",
        "%",
        "%25",
        "%32",
        "%2e",
        "%2F",
        "%5c",
        "%3b",
        "%3f",
        "2e",
        ";",
        "a",
        "bc",
        "%61",
        "%ff",
        "%e4%b8%ad",
        "|",
        "?",
        "#",
        "http://GW.test",
    ];
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let mut numbers = Numbers(seed);
    let (mut target, mut passed) = (Vec::new(), 0);
    for _ in 0..1_000_000 {
        target.clear();
        if numbers.below(50) > 0 {
            target.push(b'/');
        }
        for _ in 0..numbers.below(9) {
            match numbers.below(12) {
                0 => target.push(numbers.below(256) as u8),
                _ => target.extend_from_slice(PIECES[numbers.below(PIECES.len())].as_bytes()),
            }
        }
        let hosts = || [b"gw.test".as_slice()].into_iter();
        let Ok(once) = canonical(&target, hosts(), 8192) else { continue };
        let sent = once.rewritten(&target).map_or_else(|| target.clone(), String::into_bytes);
        let again = canonical(&sent, hosts(), 8192);
        assert_eq!(again.as_ref(), Ok(&once), "seed {seed}: {}", target.escape_ascii());
        let sent_again = once.rewritten(&sent).map_or_else(|| sent.clone(), String::into_bytes);
        assert_eq!(sent_again, sent, "seed {seed}: {}", target.escape_ascii());
        passed += 1;
    }
    assert!(passed > 50_000, "only {passed} targets were canonical, seed {seed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// For any bytes: refused, or a path that is its own canonical spelling, has no dot segment and no second reading.
    #[test]
    fn any_bytes_are_refused_or_get_one_spelling(pieces in proptest::collection::vec(prop_oneof![
        8 => proptest::sample::select(vec![
            "/", ".", "..", "%", "%25", "%32", "%65", "%2e", "%2F", "%5c", "2e", "2f", ";", "a", "%61", "%ff", "%e4%b8%ad", "|",
        ]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ], 0..12)) {
        let mut target = b"/".to_vec();
        target.extend(pieces.concat());
        if let Ok(found) = canonical(&target, [b"gw.test".as_slice()].into_iter(), 8192) {
            let once = found.path.into_owned();
            let again = canonical(once.as_bytes(), [b"gw.test".as_slice()].into_iter(), 8192).unwrap();
            prop_assert_eq!(&again.path, &once);
            prop_assert!(once.is_ascii());
            let decoded: Vec<u8> = percent_encoding::percent_decode_str(&once).collect();
            let decoded = String::from_utf8(decoded).unwrap();
            for segment in decoded.split(['/', '\\']) {
                prop_assert!(!matches!(segment.split(';').next(), Some("." | "..")), "{}", once);
            }
            // Decoding once more than a service should changes no boundary either.
            let twice: Vec<u8> = percent_encoding::percent_decode_str(&decoded).collect();
            prop_assert_eq!(twice.iter().filter(|b| **b == b'/').count(), once.matches('/').count());
        }
    }
}
