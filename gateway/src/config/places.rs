//! Where each key of the file stands, by its path: `app.shop.appid`, `route[2].path`.

use std::collections::HashMap;

use toml::de::DeValue;

use super::merge::{Table, Value};
use super::source::Span;

/// A key and its value. An item of a list has no key of its own: there both are the value.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) key: Span,
    pub(crate) value: Span,
    /// The path in the files. It differs from the path in the table where items of a list had to be removed.
    pub(crate) path: String,
}

/// The places of a table.
#[derive(Debug, Default)]
pub(crate) struct Places {
    by_path: HashMap<String, Place>,
}

impl Places {
    /// Notes every place of `table`. `before` are the places of the same table before anything was removed from it.
    pub(crate) fn of(table: &Table<'_>, before: Option<&Self>) -> Self {
        let mut old = HashMap::new();
        for place in before.iter().flat_map(|places| places.by_path.values()) {
            old.insert((place.value.start, depth(&place.path)), place.path.as_str());
        }
        let mut places = Self::default();
        walk(table, "", &mut |path, key, value| {
            let shown = old.get(&(value.start, depth(&path))).map_or_else(|| path.clone(), |&p| p.to_owned());
            places.by_path.insert(path, Place { key, value, path: shown });
        });
        places
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Place> {
        self.by_path.get(path)
    }

    /// The innermost place that holds `path`, and `path` as it is in the files.
    pub(crate) fn around(&self, path: &str) -> (Option<&Place>, String) {
        let mut end = path.len();
        while end > 0 {
            if let Some(place) = self.get(&path[..end]) {
                return (Some(place), format!("{}{}", place.path, &path[end..]));
            }
            end = path[..end].rfind(['.', '[']).unwrap_or(0);
        }
        (None, path.to_owned())
    }
}

/// The path of `key` below `path`. A key that is not a bare word is quoted.
pub(crate) fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let dot = if path.is_empty() { "" } else { "." };
    if bare { format!("{path}{dot}{key}") } else { format!("{path}{dot}{key:?}") }
}

/// The path of an item of the list at `path`.
pub(crate) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// Whether `outer` is `path` or holds it. The empty path holds everything.
pub(crate) fn holds(outer: &str, path: &str) -> bool {
    outer.is_empty()
        || path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn depth(path: &str) -> usize {
    path.matches(['.', '[']).count()
}

fn walk(table: &Table<'_>, path: &str, see: &mut impl FnMut(String, Span, Span)) {
    for (key, value) in table {
        let path = join(path, key.get_ref());
        see(path.clone(), key.span(), value.span());
        walk_value(value, &path, see);
    }
}

fn walk_value(value: &Value<'_>, path: &str, see: &mut impl FnMut(String, Span, Span)) {
    match value.get_ref() {
        DeValue::Table(table) => walk(table, path, see),
        DeValue::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                let path = item(path, index);
                see(path.clone(), value.span(), value.span());
                walk_value(value, &path, see);
            }
        }
        _ => {}
    }
}
