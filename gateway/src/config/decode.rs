//! From the table to the written form, with all mistakes in one go.

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeValue, Deserializer};

use super::merge::{Key, Table, Value};
use super::mistake::Mistake;
use super::places::{Places, item, join};
use super::schema::SCHEMA;
use super::shape::{self, Found};
use super::source::Span;
use super::written::File;

/// The file as written, where each key stands, and what was wrong. What was wrong is left out of the file.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) file: File,
    pub(crate) places: Places,
    pub(crate) found: Found,
}

/// The most values of a wrong form that are looked for: each costs another run over the table.
const TRIES_MAX: usize = 100;

/// Decodes `table`.
pub(crate) fn decode(table: Table<'_>) -> Decoded {
    let before = Places::of(&table, None);
    let (table, mut found) = shape::compare(table, &SCHEMA);
    let (table, file) = decode_rest(table, &before, &mut found);
    let places = if found.mistakes.is_empty() { before } else { Places::of(&table, Some(&before)) };
    Decoded { file, places, found }
}

/// serde stops at the first value that it cannot take, such as `ttl = "2 hours"`: note it, remove it, start again.
fn decode_rest<'s>(mut table: Table<'s>, before: &Places, found: &mut Found) -> (Table<'s>, File) {
    for _ in 0..TRIES_MAX {
        let error = match File::deserialize(Deserializer::from(Spanned::new(0..0, table.clone()))) {
            Ok(file) => return (table, file),
            Err(error) => error,
        };
        let places = Places::of(&table, Some(before));
        let (span, mut removed) = (error.span().unwrap_or(0..0), None);
        table = without(table, &span, "", &mut removed);
        let Some(path) = removed else {
            found.mistakes.push(Mistake::new(span, "", error.message()));
            break;
        };
        let (_, path) = places.around(&path);
        found.mistakes.push(Mistake::new(span, &path, error.message()));
        found.unsure.push(path);
    }
    // Without a file nothing can be said about any key.
    found.unsure.push(String::new());
    (table, File::default())
}

/// `table` without the value that stands at `span`, and its path.
fn without<'s>(table: Table<'s>, span: &Span, path: &str, removed: &mut Option<String>) -> Table<'s> {
    let keep = |(key, value): (Key<'s>, Value<'s>)| {
        let path = join(path, key.get_ref());
        Some((key, without_in(value, span, path, removed)?))
    };
    table.into_iter().filter_map(keep).collect()
}

fn without_in<'s>(
    value: Value<'s>,
    span: &Span,
    path: String,
    removed: &mut Option<String>,
) -> Option<Value<'s>> {
    let here = value.span();
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(without(table, span, &path, removed)),
        DeValue::Array(array) => {
            let items = array.into_iter().enumerate();
            let keep = |(index, value)| without_in(value, span, item(&path, index), removed);
            DeValue::Array(items.filter_map(keep).collect())
        }
        scalar => scalar,
    };
    if here == *span && removed.is_none() {
        *removed = Some(path);
        return None;
    }
    Some(Spanned::new(here, value))
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    #[test]
    fn every_value_of_a_wrong_form_is_found_and_the_rest_is_kept() {
        let text = "[token]\nttl = '2 hours'\nleeway = '3s'\n[[route]]\nbody_bytes_max = '1 MB'\npath = '/a'\n\
                    [[route]]\nrate = { limit = 'fast' }\npath = '/b'\n";
        let decoded = decode(DeTable::parse(text).unwrap().into_inner());
        let mut found: Vec<_> =
            decoded.found.mistakes.iter().map(|m| (m.key.as_str(), &text[m.span.clone()])).collect();
        found.sort_unstable();
        let expected = [
            ("route[0].body_bytes_max", "'1 MB'"),
            ("route[1].rate.limit", "'fast'"),
            ("token.ttl", "'2 hours'"),
        ];
        assert_eq!(found, expected);
        assert_eq!(String::from(decoded.file.token.leeway), "3s");
        assert_eq!(decoded.file.route[1].path.as_deref(), Some("/b"));
    }

    #[test]
    fn a_removed_item_does_not_rename_those_behind_it() {
        let text = "[server]\nlisten = [1, 'x', 2, 'y']\n";
        let decoded = decode(DeTable::parse(text).unwrap().into_inner());
        let keys: Vec<_> = decoded.found.mistakes.iter().map(|m| m.key.as_str()).collect();
        assert_eq!(keys, ["server.listen[0]", "server.listen[2]"]);
        assert_eq!(decoded.file.server.listen, ["x", "y"]);
        assert_eq!(decoded.places.get("server.listen[1]").unwrap().path, "server.listen[3]");
    }
}
