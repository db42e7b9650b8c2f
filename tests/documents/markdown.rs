//! As much of Markdown as the documents use.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::root;

/// Where documents stand: folders, each searched without its subfolders.
const FOLDERS: [&str; 9] = [
    "",
    ".github",
    "auth-core",
    "docs",
    "examples",
    "examples/backends",
    "examples/miniprogram",
    "gateway",
    "tests",
];

/// One document.
pub(crate) struct Document {
    /// From the root of the repository.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) blocks: Vec<Block>,
    /// The lines outside of blocks.
    prose: Vec<String>,
}

/// A fenced block.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

/// Every document of the repository.
pub(crate) fn documents() -> Vec<Document> {
    let mut names = Vec::new();
    for folder in FOLDERS {
        let Ok(entries) = std::fs::read_dir(root().join(folder)) else { continue };
        let files = entries.map(|entry| entry.expect("a folder can be read").file_name());
        let files = files.filter_map(|file| file.into_string().ok()).filter(|file| file.ends_with(".md"));
        names.extend(files.map(|file| Path::new(folder).join(file).display().to_string()));
    }
    names.sort();
    assert!(names.len() >= 12, "only {names:?} were found");
    names.iter().map(|name| Document::read(name)).collect()
}

impl Document {
    pub(crate) fn read(name: &str) -> Self {
        let text =
            std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (mut blocks, mut prose) = (Vec::new(), Vec::new());
        let mut open: Option<Block> = None;
        for line in text.lines() {
            match (&mut open, line.trim_start().strip_prefix("```")) {
                (None, Some(language)) => {
                    open = Some(Block { language: language.trim().to_owned(), text: String::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => prose.push(line.to_owned()),
            }
        }
        assert!(open.is_none(), "{name}: a block has no end");
        Self { name: name.to_owned(), text, blocks, prose }
    }

    /// Every `wxgate …` and `cargo run -- …` in blocks of shell, units and text, and in code spans: the words after it.
    pub(crate) fn commands(&self) -> Vec<Vec<String>> {
        let shells = ["sh", "ini", "yaml", "dockerfile"];
        let blocks = self.blocks.iter().filter(|block| shells.contains(&block.language.as_str()));
        let runs = |block: &Block, line: &str| block.language != "ini" || line.starts_with("Exec");
        let lines =
            blocks.flat_map(|block| block.text.lines().filter(|line| runs(block, line)).map(str::to_owned));
        let spans = self.prose.iter().flat_map(|line| line.split('`').skip(1).step_by(2));
        let spans = spans
            .filter(|span| span.starts_with("wxgate ") || span.starts_with("cargo run "))
            .map(str::to_owned);
        lines.chain(spans).filter_map(|line| command(&line)).collect()
    }

    /// The targets of all links.
    pub(crate) fn links(&self) -> Vec<String> {
        let parts = self.prose.iter().flat_map(|line| line.split("](").skip(1));
        parts.filter_map(|part| Some(part.split_once(')')?.0.to_owned())).collect()
    }

    /// The rows of all tables as cells, heads and rulers included.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Vec<String>> {
        let rows = self.prose.iter().filter(|line| line.starts_with('|'));
        rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
    }

    /// What no translation changes in the rows of all tables: names in code and cells of figures.
    pub(crate) fn facts(&self) -> Vec<BTreeSet<String>> {
        let is_figures = |cell: &&str| {
            cell.bytes().any(|byte| byte.is_ascii_digit())
                && !cell.bytes().any(|byte| byte.is_ascii_alphabetic())
        };
        let facts = |row: &String| {
            let spans = row.split('`').skip(1).step_by(2).map(str::to_owned);
            let cells = row.trim_matches('|').split(" | ").map(str::trim);
            let figures = cells.filter(|cell| cell.is_ascii()).filter(is_figures).map(str::to_owned);
            spans.chain(figures).collect()
        };
        self.prose.iter().filter(|line| line.starts_with('|')).map(facts).collect()
    }

    /// The levels of the headings.
    pub(crate) fn outline(&self) -> Vec<usize> {
        let level = |line: &&String| line.bytes().take_while(|byte| *byte == b'#').count();
        self.prose.iter().map(|line| level(&line)).filter(|level| *level > 0).collect()
    }

    /// The blocks without their comments and pictures: what must be the same in every language.
    pub(crate) fn shown(&self) -> Vec<String> {
        let blocks = self.blocks.iter().filter(|block| block.language != "text");
        blocks
            .map(|block| block.text.lines().filter_map(uncommented).collect::<Vec<_>>().join("\n"))
            .collect()
    }
}

fn uncommented(line: &str) -> Option<&str> {
    let kept = [" # ", " // "].iter().filter_map(|mark| line.find(mark)).min().map_or(line, |at| &line[..at]);
    let comment = ["# ", "// "].iter().any(|mark| kept.trim_start().starts_with(mark));
    Some(kept.trim_end()).filter(|kept| !comment && !kept.is_empty())
}

/// The subcommand and its words, if the line calls the program.
fn command(line: &str) -> Option<Vec<String>> {
    let words: Vec<_> = line.split([' ', '=', '"', ',', '[', ']']).filter(|word| !word.is_empty()).collect();
    // `sudo -u wxgate wxgate run`: a user of that name is no call.
    let called = |two: &[&str]| (two[0] == "wxgate" || two[0].ends_with("/wxgate")) && is_name(two[1]);
    let by_name = words.windows(2).position(called);
    let by_cargo = words.windows(3).position(|three| three == ["cargo", "run", "--"]).map(|at| at + 2);
    let mut after = words[by_cargo.or(by_name)? + 1..].iter();
    let name = after.next().filter(|name| is_name(name))?;
    let ends = |word: &&&str| matches!(**word, "|" | "&&" | ";" | "#" | ">" | "&");
    let rest: Vec<_> = after.take_while(|word| !ends(word)).map(|word| (*word).to_owned()).collect();
    Some([vec![(*name).to_owned()], rest].concat())
}

fn is_name(word: &str) -> bool {
    word != "wxgate" && word.bytes().all(|byte| byte.is_ascii_lowercase())
}
