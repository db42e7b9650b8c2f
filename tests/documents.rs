//! What the documents say is so: configs pass, commands exist, codes are the program's, links lead somewhere, and both
//! languages show the same.

pub(crate) mod markdown;
mod toml_blocks;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::{root, run, wxgate};
use markdown::{Document, documents};

#[test]
fn every_config_that_is_shown_passes_the_check() {
    let mut with_config = BTreeSet::new();
    for document in documents() {
        for block in document.blocks.iter().filter(|block| block.language == "toml") {
            toml_blocks::check(&document.name, &block.text);
            with_config.insert(document.name.clone());
        }
    }
    let example = std::fs::read_to_string(root().join("examples/wxgate.toml")).expect("the example is there");
    toml_blocks::check("examples/wxgate.toml", &example);
    for must in ["README.md", "README.zh-CN.md"] {
        assert!(with_config.contains(must), "{must} shows no config: only {with_config:?} do");
    }
}

#[test]
fn every_command_that_is_shown_exists() {
    let mut seen = BTreeSet::new();
    for document in documents() {
        for command in document.commands() {
            let (name, flags) = (command[0].as_str(), command.iter().filter(|word| word.starts_with("--")));
            // A command may have commands of its own.
            let below = command.get(1).filter(|word| name == "sessions" && !word.starts_with('-'));
            let help = run(wxgate().arg(name).args(below).arg("--help"));
            assert!(help.status.success(), "{}: there is no `wxgate {name}`", document.name);
            let help = String::from_utf8_lossy(&help.stdout);
            for flag in flags.map(|flag| flag.split('=').next().unwrap_or(flag)) {
                let known = help.split([' ', ',', '\n']).any(|word| word == flag);
                assert!(known, "{}: `wxgate {name}` has no {flag}", document.name);
            }
            seen.insert(name.to_owned());
        }
    }
    for must in ["run", "check", "explain", "keygen", "sessions", "dev"] {
        assert!(seen.contains(must), "no document shows `wxgate {must}`: only {seen:?}");
    }
}

#[test]
fn every_reason_code_is_explained_and_no_other() {
    let program = reason_codes();
    for name in ["docs/errors.md", "docs/errors.zh-CN.md"] {
        let document = Document::read(name);
        let rows: Vec<_> = document.rows().collect();
        // Codes stand first in a row, WeChat's errcodes are numbers.
        let codes = rows.iter().filter_map(|row| row.first()?.strip_prefix('`')?.strip_suffix('`'));
        let codes =
            codes.filter(|code| !code.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit()));
        let listed: Vec<_> = codes.map(str::to_owned).collect();
        let explained: BTreeSet<_> = listed.iter().cloned().collect();
        assert_eq!(listed.len(), explained.len(), "{name} explains a code twice: {listed:?}");
        let (missing, unknown): (Vec<_>, Vec<_>) =
            (program.difference(&explained).collect(), explained.difference(&program).collect());
        assert!(missing.is_empty() && unknown.is_empty(), "{name}: missing {missing:?}, unknown {unknown:?}");
    }
}

#[test]
fn every_code_of_session_data_is_explained_and_no_other() {
    let file = "gateway/src/admin/session_data/denied.rs";
    let text = std::fs::read_to_string(root().join(file)).expect("denied.rs is there");
    // Before the messages, which are no codes.
    let mut program: BTreeSet<_> = code_texts(text.split("fn message").next().unwrap_or_default());
    // The others stand before a status of their own.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let with_status = text.split(", Status::").filter_map(|before| before.rsplit('"').nth(1));
    program.extend(with_status.filter(|code| !code.contains(' ')).map(str::to_owned));
    // Of the listener, whatever is asked.
    program.extend(["web_page", "credential_missing", "credential_wrong"].map(str::to_owned));
    assert!(program.len() >= 20, "only {program:?} were found");
    for name in ["docs/session-data.md", "docs/session-data.zh-CN.md"] {
        let document = Document::read(name);
        let codes = document
            .rows()
            .filter_map(|row| Some(row.first()?.strip_prefix('`')?.strip_suffix('`')?.to_owned()));
        let codes: BTreeSet<_> = codes.filter(|code| !code.starts_with('/')).collect();
        assert_eq!(codes, program, "{name}");
    }
}

#[test]
fn every_link_leads_to_a_file() {
    let mut followed = 0;
    for document in documents() {
        let folder = PathBuf::from(&document.name).parent().map(PathBuf::from).unwrap_or_default();
        for link in document.links() {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let path = root().join(&folder).join(file);
            assert!(path.exists(), "{}: {link} leads nowhere", document.name);
            followed += 1;
        }
    }
    assert!(followed >= 40, "only {followed} links were found");
}

#[test]
fn both_languages_show_the_same() {
    let mut pairs = 0;
    for document in documents() {
        let Some(stem) = document.name.strip_suffix(".zh-CN.md") else { continue };
        let english = Document::read(&format!("{stem}.md"));
        assert_eq!(english.outline(), document.outline(), "{} has other headings", document.name);
        // The config reference is generated, and its tests hold both languages to one schema.
        if stem == "docs/config" {
            pairs += 1;
            continue;
        }
        let (ours, theirs) = (english.facts(), document.facts());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{} has another row", document.name);
        }
        assert_eq!(ours.len(), theirs.len(), "{} has other tables", document.name);
        let (ours, theirs) = (english.shown(), document.shown());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{} shows something else", document.name);
        }
        assert_eq!(ours.len(), theirs.len(), "{} shows more or less", document.name);
        pairs += 1;
    }
    let english = documents().iter().filter(|document| !document.name.contains(".zh-CN.")).count();
    assert!(pairs >= 5 && english > pairs, "only {pairs} pairs were found");
}

#[test]
fn no_folder_of_a_build_is_named_in_a_document() {
    for document in documents() {
        let home = root().display().to_string();
        assert!(!document.text.contains(&home), "{} names {home}", document.name);
    }
}

#[test]
fn scripts_are_valid_and_may_be_run() {
    for script in ["tests/run.sh", ".ci/run"] {
        let path = root().join(script);
        assert!(run(Command::new("bash").arg("-n").arg(&path)).status.success(), "{script}");
        let mode =
            std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).expect("the script is there"));
        assert_eq!(mode & 0o111, 0o111, "{script} cannot be executed");
    }
}

/// The codes that the program knows: the right-hand sides in `denied.rs`, which has no other texts, and in the `code` of the
/// private listener's refusals.
fn reason_codes() -> BTreeSet<String> {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).expect("the file is there");
    let (denied, refusal) = (read("gateway/src/denied.rs"), read("gateway/src/admin/refusal.rs"));
    let of_admin = refusal.split("fn code(").nth(1).and_then(|rest| rest.split("\n    }\n").next());
    let mut codes = code_texts(&denied);
    codes.extend(code_texts(of_admin.expect("refusals have codes")));
    assert!(codes.len() >= 30, "only {codes:?} were found");
    codes
}

/// The texts on right-hand sides.
fn code_texts(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .filter_map(|line| line.split_once("=> \"")?.1.split_once('"'))
        .map(|(code, _)| code.to_owned())
        .collect()
}
