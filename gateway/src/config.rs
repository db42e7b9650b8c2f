//! The config file: as written, then as used.
//!
//! file → texts with includes ([`mod@include`]) → one table with places ([`merge`]) → the form as written ([`decode`]) → the form
//! as used ([`check`]). Every stage notes its mistakes and goes on, so that one run names them all.

mod checked;
mod written;

mod include;
mod broken;
mod merge;
mod decode;
mod shape;
mod schema;
mod check;
mod reference;

mod source;
mod places;
mod values;
mod secrets;
mod fingerprint;
mod hidden;
mod mistake;
mod render;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::Path;

pub(crate) use checked::*;
pub(crate) use fingerprint::Fingerprint;
pub(crate) use mistake::Mistakes;
pub(crate) use reference::{reference_markdown, reference_markdown_chinese};
pub(crate) use schema::schema;
pub(crate) use secrets::given;
pub(crate) use values::Limit;

use fingerprint::Noting;
use secrets::Secrets;

/// Who starts the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// An operator: `wxgate run`, `wxgate check`.
    Normal,
    /// A developer, with `wxgate dev`: secrets may stand in the file, and need not be good ones.
    Dev,
}

/// Reads the config file at `path`, or says everything that is wrong with it.
pub(crate) fn load(path: &Path, mode: Mode) -> Result<Checked, Mistakes> {
    load_file(path, mode, &secrets::Machine).0
}

/// Reads the config file at `path` as [`load`] does, and says what it was read from.
pub(crate) fn load_noting(path: &Path) -> (Result<Checked, Mistakes>, Fingerprint) {
    load_file(path, Mode::Normal, &secrets::Machine)
}

fn load_file(path: &Path, mode: Mode, secrets: &dyn Secrets) -> (Result<Checked, Mistakes>, Fingerprint) {
    let noting = Noting::new(secrets);
    let texts = include::read(path, &noting);
    let loaded = compile(path, texts, mode, &noting);
    (loaded, noting.fingerprint())
}

/// What the config file at `path` says of the private listener, for who wants to use it; its credential only if it `asks`
/// for that. Whatever else the file names need not be there.
pub(crate) fn private_listener(path: &Path, asks: bool) -> Result<Admin, Mistakes> {
    let check = |file, cx: &mut check::Context<'_>| check::private_listener(&file, asks, cx);
    // It is not started with what is read here: a weak credential is for the gateway to refuse.
    let noting = Noting::new(&secrets::Machine);
    checked(path, include::read(path, &noting), Mode::Dev, &noting, check).map(|(admin, _)| admin)
}

/// Reads the `text` of a config that the program carries along, under the name it has in the repository.
pub(crate) fn load_text(name: &str, text: &str, mode: Mode) -> Result<Checked, Mistakes> {
    load_bytes(Path::new(name), text.into(), mode, &secrets::Machine)
}

/// Takes `bytes` as the content of the main file `path`.
fn load_bytes(path: &Path, bytes: Vec<u8>, mode: Mode, secrets: &dyn Secrets) -> Result<Checked, Mistakes> {
    let noting = Noting::new(secrets);
    compile(path, include::read_from(path, bytes, &noting), mode, &noting)
}

/// From texts to the form as used.
fn compile(
    path: &Path,
    texts: include::Texts,
    mode: Mode,
    secrets: &dyn Secrets,
) -> Result<Checked, Mistakes> {
    let (mut config, warnings) = checked(path, texts, mode, secrets, check::check)?;
    config.warnings = warnings;
    Ok(config)
}

/// From texts to what `check` makes of them, and the warnings.
fn checked<T>(
    path: &Path,
    texts: include::Texts,
    mode: Mode,
    secrets: &dyn Secrets,
    check: impl FnOnce(written::File, &mut check::Context<'_>) -> Option<T>,
) -> Result<(T, Vec<String>), Mistakes> {
    let include::Texts { sources, mut mistakes, lost } = texts;
    let unread = !mistakes.is_empty();
    let mut broken = broken::Broken::default();
    let table = merge::merged(&sources, &mut broken, &mut mistakes);
    let hidden = hidden::hidden(&table, &sources, !broken.mistakes.is_empty());
    let decoded = decode::decode(table);
    let mut unsure = decoded.found.unsure;
    unsure.append(&mut broken.unsure);
    if lost {
        unsure.push(String::new());
    }
    let mut cx = check::Context {
        mode,
        secrets,
        places: &decoded.places,
        unsure: &unsure,
        unread,
        broken: !broken.mistakes.is_empty(),
        sources: &sources,
        folder: path.parent().unwrap_or(Path::new("")),
        mistakes: Vec::new(),
        warnings: Vec::new(),
    };
    let checked = check(decoded.file, &mut cx);
    let (found, warnings) = (cx.mistakes, cx.warnings);
    mistakes.extend(decoded.found.mistakes);
    mistakes.extend(found);
    // What is found on a line that is no TOML is not what was written there.
    let line = |mistake: &mistake::Mistake| sources.line(&mistake.span).map(|line| line.span.start);
    let lines: HashSet<_> = broken.mistakes.iter().map(line).collect();
    mistakes.retain(|mistake| !lines.contains(&line(mistake)));
    mistakes.extend(broken.mistakes);
    let mistakes = Mistakes::new(mistakes, sources, hidden);
    match checked {
        Some(checked) if mistakes.list.is_empty() => Ok((checked, mistakes.one_line_each(&warnings))),
        _ => Err(mistakes),
    }
}
