//! What holds for every text.

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::{MAIN, Vault, completed, load};
use crate::config::{Mode, load_bytes};
use std::path::Path;

fn survives(bytes: Vec<u8>) {
    for mode in [Mode::Normal, Mode::Dev] {
        if let Err(mistakes) = load_bytes(Path::new(MAIN), bytes.clone(), mode, &Vault::full()) {
            assert!(
                !mistakes.list.is_empty(),
                "refused without a reason: {:?}",
                String::from_utf8_lossy(&bytes)
            );
            let shown = mistakes.render(false);
            prop_assert_clean(&shown);
        }
    }
}

/// What a file holds must not reach the terminal as a command.
fn prop_assert_clean(shown: &str) {
    let command = |c: char| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!shown.contains(command), "{shown:?}");
}

/// Files that are deep or long, where a walk could run out of stack or time.
#[test]
fn no_deep_text_overflows_the_loader() {
    let deep = [
        "[".repeat(100_000),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{ a = ".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("app = {{ {}a = 1 }}", "a.".repeat(100_000)),
        "a = 'open\n".repeat(50_000),
        (0..50_000).map(|n| format!("k{n} = x\n")).collect(),
    ];
    for text in deep {
        survives(text.into_bytes());
    }
}

/// Pieces of configs, right and wrong, to be put together in any order.
const PIECES: [&str; 36] = [
    "version = 1\n",
    "[server]\n",
    "listen = [\"0.0.0.0:80\"]\n",
    "[token]\n",
    "keys = [{ kid = \"a\", env = \"KEY\" }]\n",
    "[app.shop]\n",
    "appid = \"wx1111111111111111\"\n",
    "secret = ",
    "{ env = \"X\" }\n",
    "[[route]]\n",
    "path = \"/a/{id}/*\"\n",
    "path = \"/\"\n",
    "upstream = \"goods\"\n",
    "[upstream.goods]\n",
    "servers = [1, \"a:1\", []]\n",
    "\"\"\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\n",
    "\u{feff}",
    "中\u{202e}",
    "\r",
    "\u{1b}[31m",
    "methods = [\"get\"]\n",
    "hosts = [\"*.a\", \"\"]\n",
    "1979-05-27",
    "inf",
    "-9223372036854775809",
    "a.b.c = 1\n",
    "rate = { limit = \"1/s\" }\n",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_bytes_panic_the_loader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(bytes);
    }

    #[test]
    fn no_text_like_a_config_panics_the_loader(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..30)) {
        survives(pieces.concat().into_bytes());
    }

    #[test]
    fn no_piece_of_a_config_panics_the_loader(from in 0usize..2000, until in 0usize..2000, at in 0usize..2000, byte in any::<u8>()) {
        let mut bytes = include_bytes!("../../../../config/production.toml").to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let (from, until) = (from.min(until) % bytes.len(), from.max(until) % bytes.len());
        bytes.drain(from.min(until)..until);
        survives(bytes);
    }

    /// The most specific route wins whatever the order; so the order of the file must not change what a route is.
    #[test]
    fn the_order_of_routes_changes_no_route(order in Just((0..ROUTES.len()).collect::<Vec<_>>()).prop_shuffle()) {
        prop_assert_eq!(routes(&order), routes(&(0..ROUTES.len()).collect::<Vec<_>>()));
    }

    /// Which two routes tie does not depend on which comes first, either.
    #[test]
    fn the_order_of_routes_changes_no_tie(order in subsequence((0..ROUTES.len()).collect::<Vec<_>>(), 1..6).prop_shuffle(), twin in 0usize..6) {
        let twin = order[twin % order.len()];
        let mut text: String = order.iter().map(|&index| route(index)).collect();
        text.push_str(&route(twin));
        let mistakes = load(&text).unwrap_err();
        prop_assert_eq!(mistakes.list.len(), 1, "{}", mistakes);
    }
}

const ROUTES: [&str; 8] = [
    "path = '/*'",
    "path = '/a'",
    "path = '/a/*'",
    "path = '/a/{id}'",
    "path = '/a'\nhosts = ['x.com']",
    "path = '/a'\nhosts = ['*.com', 'y.org']",
    "path = '/b'\nmethods = ['GET']",
    "path = '/b'\nmethods = ['PUT', 'POST']",
];

fn route(index: usize) -> String {
    format!("[[route]]\nupstream = 'goods'\n{}\n", ROUTES[index])
}

fn routes(order: &[usize]) -> Vec<String> {
    let text: String = order.iter().map(|&index| route(index)).collect();
    let mut routes: Vec<_> =
        load(&completed(&text)).unwrap().routes.iter().map(|route| format!("{route:?}")).collect();
    routes.sort();
    routes
}
