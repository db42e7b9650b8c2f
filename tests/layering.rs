//! The arrows between the parts: who may know whom. Read from the sources, so that a wrong import is a failing test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Table;

use crate::harness::root;

/// One step may name these types of another: what a step hands on is how the next one knows that it ran.
const STEPS_THAT_HAND_ON: [(&str, &str, &str); 8] = [
    ("policy", "authenticate::Authenticated", "the permit keeps who passed"),
    ("policy", "route::RouteId", "the permit keeps what was passed"),
    ("upstream", "policy::Permit", "without a permit no server can be named"),
    ("inject", "authenticate::Prepared", "the header values made ready once a token"),
    ("inject", "authenticate::TokenSources", "the token is removed where it was looked for"),
    ("log", "route::Destination", "the line says where the request led"),
    ("log", "route::Endpoint", "the line says which own endpoint answered"),
    ("log", "route::RouteId", "the line says which route it was"),
];

/// Which modules of the gateway a part may know. A part not listed is free, and so is what stands below itself.
const MAY_KNOW: [(&str, &[&str]); 12] = [
    // The config says what is wanted; who does it is none of its business.
    ("config", &[]),
    // The simulator plays WeChat and must not share a mistake with the gateway.
    ("sim", &[]),
    ("denied", &["front", "target"]),
    ("reply", &["denied", "front", "renewal", "target"]),
    ("renewal", &["steps"]),
    ("assertion", &["config", "steps"]),
    ("target", &[]),
    ("framing", &["denied", "front"]),
    ("websocket", &["denied"]),
    // The transport is below HTTP: it knows no request.
    ("connection", &["address", "config", "front", "metrics"]),
    ("steps", &["address", "config", "context", "denied", "target", "websocket"]),
    ("endpoints", &["config", "context", "denied", "framing", "reply", "snapshot", "steps"]),
];

/// Where pingora's `Session`, one HTTP exchange with a client, may be touched.
const HOLDS_THE_EXCHANGE: [&str; 6] = ["proxy", "endpoints", "reply", "steps::log", "front", "connection"];

/// Where status codes are given. Everything else speaks of reasons.
const GIVES_STATUS: [&str; 3] = ["reply", "admin", "sim"];

/// Which files may touch the machine's files or environment, and for what.
const TOUCHES_THE_MACHINE: [(&str, &str); 5] = [
    ("gateway/src/config/secrets.rs", "secrets, from variables and files"),
    ("gateway/src/config/include.rs", "the config file and what it includes"),
    ("gateway/src/cli/keygen.rs", "a new key, into a new file"),
    ("auth-core/src/session/embedded/file.rs", "the session store"),
    ("auth-core/src/session/embedded/upgrade.rs", "the session store, rewritten"),
];

#[test]
fn a_step_knows_no_other_step_but_by_what_it_is_handed() {
    let mut used = BTreeSet::new();
    for source in sources("gateway/src").iter().filter(|source| source.is_below("steps")) {
        let own = source.module.get(1).cloned().unwrap_or_default();
        for path in source.paths().iter().filter(|path| path.first().is_some_and(|first| first == "steps")) {
            let (Some(step), rest) = (path.get(1), path.get(1..).unwrap_or_default().join("::")) else {
                continue;
            };
            if *step == own || own.is_empty() {
                continue;
            }
            let known = STEPS_THAT_HAND_ON.iter().find(|(who, what, _)| *who == own && *what == rest);
            assert!(known.is_some(), "{} uses {rest}: no step imports another", source.name);
            used.insert((own.clone(), rest));
        }
    }
    let stale =
        STEPS_THAT_HAND_ON.iter().find(|(who, what, _)| !used.contains(&((*who).into(), (*what).into())));
    assert!(stale.is_none(), "no longer used, take it out of the list: {stale:?}");
}

#[test]
fn each_part_knows_only_what_it_may() {
    let sources = sources("gateway/src");
    for (part, allowed) in MAY_KNOW {
        let own: Vec<_> = sources.iter().filter(|source| source.is_below(part)).collect();
        assert!(!own.is_empty(), "there is no part `{part}` any more");
        for source in own {
            for path in source.paths() {
                let Some(other) = path.first() else { continue };
                let known = other == part || allowed.contains(&other.as_str());
                assert!(known, "{} uses crate::{}: `{part}` may not know it", source.name, path.join("::"));
            }
        }
    }
}

#[test]
fn the_http_exchange_is_touched_in_few_places() {
    let mut touched = BTreeSet::new();
    for source in sources("gateway/src") {
        let holds =
            source.paths_from("pingora").iter().any(|path| path.last().is_some_and(|last| last == "Session"));
        if holds {
            let place = HOLDS_THE_EXCHANGE.into_iter().find(|place| source.is_below(place));
            touched.insert(place.unwrap_or_else(|| panic!("{} imports pingora's Session", source.name)));
        }
    }
    assert_eq!(touched.len(), HOLDS_THE_EXCHANGE.len(), "only {touched:?} need it: shorten the list");
}

#[test]
fn status_codes_are_given_in_one_place() {
    let mut given = BTreeSet::new();
    for source in sources("gateway/src") {
        let needles = ["StatusCode", "ResponseHeader::build", "respond_error"];
        if let Some(needle) = needles.iter().find(|needle| source.code.contains(**needle)) {
            let place = GIVES_STATUS.into_iter().find(|place| source.is_below(place));
            given.insert(
                place.unwrap_or_else(|| panic!("{} has {needle}: statuses are reply.rs's", source.name)),
            );
        }
    }
    assert_eq!(given.len(), GIVES_STATUS.len(), "only {given:?} need it: shorten the list");
}

#[test]
fn the_library_knows_no_gateway_and_no_http_server() {
    for source in sources("auth-core/src") {
        for word in ["pingora", "axum", "StatusCode", "clap::", "toml::"] {
            assert!(!source.code.contains(word), "{} has `{word}`", source.name);
        }
    }
    let manifest = table("auth-core/Cargo.toml");
    let dependencies = manifest["dependencies"].as_table().expect("a table");
    for name in ["axum", "clap", "gateway", "pingora", "toml"] {
        assert!(!dependencies.contains_key(name), "auth-core depends on {name}");
    }
}

#[test]
fn files_and_environment_are_touched_where_they_may_be() {
    let mut touched = BTreeSet::new();
    for source in ["gateway/src", "auth-core/src"].iter().flat_map(|folder| sources(folder)) {
        let needles =
            ["std::fs", "tokio::fs", "File::open", "File::create", "env::var(", "env::vars", "env::set_var"];
        if let Some(needle) = needles.iter().find(|needle| source.code.contains(**needle)) {
            let known = TOUCHES_THE_MACHINE.iter().find(|(file, _)| *file == source.name);
            touched.insert(known.unwrap_or_else(|| panic!("{} has {needle}", source.name)));
        }
    }
    assert_eq!(touched.len(), TOUCHES_THE_MACHINE.len(), "only {touched:?} need it: shorten the list");
}

#[test]
fn every_member_of_the_workspace_has_its_lints() {
    let workspace = table("Cargo.toml");
    let members = workspace["workspace"]["members"].as_array().expect("a list");
    assert!(members.len() >= 2, "{members:?}");
    for member in members {
        let manifest = table(&format!("{}/Cargo.toml", member.as_str().expect("a folder")));
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        assert_eq!(inherits, Some(true), "{member} needs [lints] workspace = true");
    }
}

/// One file of Rust, without its comments and its tests.
struct Source {
    /// From the root of the repository.
    name: String,
    /// Where it stands in its crate: `["steps", "policy", "limiter"]`.
    module: Vec<String>,
    code: String,
}

impl Source {
    fn is_below(&self, part: &str) -> bool {
        part.split("::").enumerate().all(|(n, name)| self.module.get(n).is_some_and(|own| own == name))
    }

    /// Every path of this crate that the code names, from the crate's root on: `["steps", "route", "RouteId"]`.
    fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = self.paths_from("crate");
        for at in starts(&self.code, "super::") {
            let mut rest = &self.code[at..];
            let mut base = self.module.as_slice();
            while let Some(after) = rest.strip_prefix("super::") {
                base = base.split_last().map_or(base, |(_, parent)| parent);
                rest = after;
            }
            let found = tree(rest).0;
            paths.extend(found.into_iter().map(|path| [base, path.as_slice()].concat()));
        }
        paths.sort();
        paths.dedup();
        paths
    }

    /// What follows `root::`, once for each name in a group of braces.
    fn paths_from(&self, root: &str) -> Vec<Vec<String>> {
        let root = format!("{root}::");
        starts(&self.code, &root).flat_map(|at| tree(&self.code[at + root.len()..]).0).collect()
    }
}

/// Where `word` begins a path of its own.
fn starts<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let continues = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    code.match_indices(word).map(|(at, _)| at).filter(move |at| !continues(&code[..*at]))
}

/// Reads `a::{b, c::d}` into its paths, and says how much of the text that was.
fn tree(text: &str) -> (Vec<Vec<String>>, usize) {
    let blank = |at: usize| at + text[at..].len() - text[at..].trim_start().len();
    if text.starts_with('{') {
        let (mut paths, mut at) = (Vec::new(), 1);
        loop {
            at = blank(at);
            match text[at..].chars().next() {
                Some('}') | None => return (paths, at + 1),
                Some(',') => at += 1,
                Some(_) => {
                    let (found, length) = tree(&text[at..]);
                    paths.extend(found);
                    // `a as b`, and whatever else is not a path, up to the next item.
                    at += length.max(1);
                    at += text[at..].find([',', '}']).unwrap_or(0);
                }
            }
        }
    }
    let length = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let name = text[..length].to_owned();
    match text[length..].strip_prefix("::") {
        Some(rest) if rest.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '{') => {
            let (below, more) = tree(rest);
            let paths = below.into_iter().map(|path| [vec![name.clone()], path].concat());
            (paths.collect(), length + 2 + more)
        }
        _ if name.is_empty() || name == "self" => (vec![Vec::new()], length),
        _ => (vec![vec![name]], length),
    }
}

/// The sources below a folder. Files of tests and for fuzzing, and the tests at the end of a file, are left out: they may
/// know all.
fn sources(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join(folder), &mut files);
    let sources: Vec<_> = files.iter().filter_map(|file| source(folder, file)).collect();
    assert!(sources.len() >= 10, "{folder} has only {} files", sources.len());
    sources
}

fn source(folder: &str, file: &Path) -> Option<Source> {
    let within = file.strip_prefix(root().join(folder)).expect("collected below the folder");
    let module: Vec<String> =
        within.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.iter().any(|part| part == "tests" || part == "fuzzing") {
        return None;
    }
    let text = std::fs::read_to_string(file).expect("a source is text");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    Some(Source { name: format!("{folder}/{}", within.display()), module, code })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn table(file: &str) -> Table {
    let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.parse().unwrap_or_else(|error| panic!("{file}: {error}"))
}
