//! Reads the main file and the files that it includes.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use toml::de::DeTable;

use super::fingerprint::Noting;
use super::mistake::Mistake;
use super::source::{SourceMap, Span};

/// The most bytes that one file may have: nobody writes more by hand, and `/dev/zero` must not fill the memory.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The most files that one config may have.
const FILES_MAX: usize = 1000;

/// The texts of a config, and what could not be read.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pub(crate) sources: SourceMap,
    pub(crate) mistakes: Vec<Mistake>,
    /// Whether the main file could not be read to its end.
    pub(crate) lost: bool,
}

/// Reads `path` and its includes.
pub(crate) fn read(path: &Path, noting: &Noting<'_>) -> Texts {
    match noting.config(path) {
        Ok(bytes) => read_from(path, bytes, noting),
        Err(why) => {
            let mut texts = Texts { lost: true, ..Texts::default() };
            texts.sources.add(path.display().to_string(), String::new());
            texts.mistakes.push(Mistake::new(0..0, "", why));
            texts
        }
    }
}

/// Takes `bytes` as the content of the main file `path`, and reads its includes.
pub(crate) fn read_from(path: &Path, bytes: Vec<u8>, noting: &Noting<'_>) -> Texts {
    let mut texts = Texts::default();
    let text = texts.decode(path, bytes, None);
    let patterns = patterns(&text);
    texts.sources.add(path.display().to_string(), text);
    let mut seen = vec![path.to_owned()];
    for (pattern, span) in patterns {
        for file in texts.expand(path, &pattern, &span, noting) {
            if !seen.contains(&file) {
                texts.include(&file, &span, noting);
                seen.push(file);
            }
        }
    }
    texts
}

/// The texts under `include`, with their places. Other types are found wrong later, with everything else.
fn patterns(text: &str) -> Vec<(String, Span)> {
    let (table, _) = DeTable::parse_recoverable(text);
    let list = table.get_ref().get("include").and_then(|value| value.get_ref().as_array());
    let text = |item: &toml::Spanned<toml::de::DeValue<'_>>| {
        Some((item.get_ref().as_str()?.to_owned(), item.span()))
    };
    list.into_iter().flatten().filter_map(text).collect()
}

impl Texts {
    /// Adds one included file; `from` is the place that names it.
    fn include(&mut self, file: &Path, from: &Span, noting: &Noting<'_>) {
        if self.sources.len() == FILES_MAX {
            let why = format!("more than {FILES_MAX} files");
            self.mistakes.push(Mistake::new(from.clone(), "include", why));
        }
        if self.sources.len() >= FILES_MAX {
            return;
        }
        match noting.config(file) {
            Ok(bytes) => {
                let text = self.decode(file, bytes, Some(from));
                self.sources.add(file.display().to_string(), text);
            }
            Err(why) => self.mistakes.push(Mistake::new(from.clone(), "include", why)),
        }
    }

    /// The bytes as text, up to the first that are none. `from` names the file, if it is an included one.
    fn decode(&mut self, file: &Path, bytes: Vec<u8>, from: Option<&Span>) -> String {
        let error = match String::from_utf8(bytes) {
            Ok(text) => return text,
            Err(error) => error,
        };
        let valid = error.utf8_error().valid_up_to();
        let mut bytes = error.into_bytes();
        bytes.truncate(valid);
        let text = String::from_utf8(bytes).unwrap_or_default();
        let line = text.matches('\n').count() + 1;
        let why = format!("{} is not UTF-8: line {line} holds other bytes", file.display());
        let span = from.cloned().unwrap_or(valid..valid);
        self.mistakes.push(Mistake::new(span, "", why).help("save the file as UTF-8"));
        self.lost |= from.is_none();
        text
    }

    /// The files that `pattern`, an item of `include` in the file `main`, stands for, in the order of their names.
    fn expand(&mut self, main: &Path, pattern: &str, span: &Span, noting: &Noting<'_>) -> Vec<PathBuf> {
        let mut wrong = |why: &str, help: &str| {
            self.mistakes.push(Mistake::new(span.clone(), "include", why).help(help));
            Vec::new()
        };
        let path = Path::new(pattern);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if pattern.is_empty() || !path.components().all(plain) || pattern.contains('\0') {
            return wrong(
                "an include must be a relative path without `..`",
                "keep included files beside the main file or in a folder below it, as in \"conf.d/*.toml\"",
            );
        }
        let (Some(name), Some(folder)) = (path.file_name().and_then(|n| n.to_str()), path.parent()) else {
            return wrong("an include must name files", "write a pattern such as \"conf.d/*.toml\"");
        };
        if folder.to_string_lossy().contains('*') {
            return wrong("`*` may stand in the last part of an include only", "list the folders one by one");
        }
        let folder = main.parent().unwrap_or(Path::new("")).join(folder);
        if !name.contains('*') {
            return vec![folder.join(name)];
        }
        noting.matches(&folder, name)
    }
}

/// The files in `folder` whose names match. A folder that does not exist holds none.
pub(super) fn matches(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(here).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    // Hidden names are left out, as in a shell: a mounted ConfigMap keeps its own folders under such names.
    let mut names: Vec<_> = names.filter(|name| !name.starts_with('.') && fits(pattern, name)).collect();
    names.sort();
    names.into_iter().map(|name| folder.join(name)).filter(|file| file.is_file()).collect()
}

/// Whether `name` fits `pattern`, in which each `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The content of a config file, or why it cannot be read.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        Ok(_) if bytes.len() as u64 > FILE_BYTES_MAX => {
            Err(format!("{} is larger than {} MiB", path.display(), FILE_BYTES_MAX >> 20))
        }
        Ok(_) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in
            [("*.toml", "a.toml"), ("*", "x"), ("a*b*c", "abbc"), ("a*", "a"), ("*a*", "bab")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.toml", "a.tom"), ("a*b", "a"), ("ab*ba", "aba"), ("a*b*c", "acb"), ("x", "xy")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
