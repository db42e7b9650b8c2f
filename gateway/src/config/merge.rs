//! From the texts of a config to one table, with every span shifted to its global place.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::broken::Broken;
use super::mistake::Mistake;
use super::places;
use super::source::{SourceMap, Span};

/// The tables of all files, merged.
pub(crate) type Table<'s> = DeTable<'s>;
pub(crate) type Key<'s> = Spanned<DeString<'s>>;
pub(crate) type Value<'s> = Spanned<DeValue<'s>>;

/// Merges the files of `sources`. What is not TOML is noted in `broken`, a key set twice in `mistakes`.
pub(crate) fn merged<'s>(
    sources: &'s SourceMap,
    broken: &mut Broken,
    mistakes: &mut Vec<Mistake>,
) -> Table<'s> {
    let mut all = Table::new();
    for (number, (text, base)) in sources.texts().enumerate() {
        let (table, found) = DeTable::parse_recoverable(text);
        let sound = broken.take_out(table.into_inner(), &found, text, base);
        let mut table = shift_table(sound, base);
        if number > 0
            && let Some((key, _)) = table.remove_entry("include")
        {
            let why = "only the main file may include others";
            mistakes.push(Mistake::new(key.span(), "include", why));
        }
        merge(&mut all, table, "", mistakes);
    }
    keep_one_per_line(&mut broken.mistakes, sources);
    all
}

/// After one slip the parser finds more on the same line that are none.
fn keep_one_per_line(broken: &mut Vec<Mistake>, sources: &SourceMap) {
    broken.sort_by_key(|mistake| mistake.span.start);
    broken.dedup_by_key(|mistake| sources.line(&mistake.span).map(|line| line.span));
}

fn shift_table(table: DeTable<'_>, base: usize) -> Table<'_> {
    let moved = |key: Spanned<_>| Spanned::new(shift(key.span(), base), key.into_inner());
    table.into_iter().map(|(key, value)| (moved(key), shift_value(value, base))).collect()
}

fn shift_value(value: Value<'_>, base: usize) -> Value<'_> {
    let span = shift(value.span(), base);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shift_table(table, base)),
        DeValue::Array(mut array) => {
            for item in array.iter_mut() {
                let old = std::mem::replace(item, Spanned::new(0..0, DeValue::Boolean(false)));
                *item = shift_value(old, base);
            }
            DeValue::Array(array)
        }
        scalar => scalar,
    };
    Spanned::new(span, value)
}

fn shift(span: Span, base: usize) -> Span {
    span.start + base..span.end + base
}

/// Adds `new` to `all`: tables merge by key, lists of routes follow one another, all else may be set once.
fn merge<'s>(all: &mut Table<'s>, new: Table<'s>, path: &str, mistakes: &mut Vec<Mistake>) {
    for (key, value) in new {
        let name: &str = key.get_ref();
        let path = places::join(path, name);
        let first = all.get_key_value(name).map(|(key, _)| key.span()).unwrap_or_default();
        let Some(old) = all.get_mut(name) else {
            all.insert(key, value);
            continue;
        };
        match (old.get_mut(), value.into_inner()) {
            (DeValue::Table(old), DeValue::Table(new)) => merge(old, new, &path, mistakes),
            (DeValue::Array(old), DeValue::Array(new)) if path == "route" => {
                new.into_iter().for_each(|r| old.push(r))
            }
            _ => mistakes
                .push(Mistake::new(key.span(), path, "set in two files").also(first, "first set here")),
        }
    }
}
