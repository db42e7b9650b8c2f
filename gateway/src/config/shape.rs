//! Compares the table with the schema: keys that do not exist, and values of the wrong type. Each is noted and removed,
//! so that what remains can be decoded and checked in the same run.

use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::DeValue;

use super::merge::{Key, Table, Value};
use super::mistake::{Mistake, listed, nearest};
use super::places::{item, join};

/// What the walk found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) mistakes: Vec<Mistake>,
    /// Paths about which nothing more can be said: removed ones, and those that an unknown key probably meant.
    pub(crate) unsure: Vec<String>,
}

/// Walks `table` by `schema`; gives back what fits.
pub(crate) fn compare<'s>(table: Table<'s>, schema: &Json) -> (Table<'s>, Found) {
    let mut found = Found::default();
    let table = Walk { root: schema, found: &mut found }.table(table, schema, "");
    (table, found)
}

struct Walk<'a> {
    root: &'a Json,
    found: &'a mut Found,
}

impl Walk<'_> {
    fn table<'s>(&mut self, table: Table<'s>, schema: &Json, path: &str) -> Table<'s> {
        let nothing = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&nothing);
        let any = Some(&schema["additionalProperties"]).filter(|schema| schema.is_object());
        let mut fitting = Table::new();
        for (key, value) in table {
            let here = join(path, key.get_ref());
            match properties.get(key.get_ref().as_ref()).or(any) {
                None => self.unknown(&key, path, here, properties),
                Some(known) => {
                    if let Some(value) = self.value(value, known, here) {
                        fitting.insert(key, value);
                    }
                }
            }
        }
        fitting
    }

    fn value<'s>(&mut self, value: Value<'s>, schema: &Json, path: String) -> Option<Value<'s>> {
        let span = value.span();
        let (message, help) = match value.into_inner() {
            DeValue::String(text) if !choices(schema).is_empty() => match not_a_choice(&text, schema) {
                None => return Some(Spanned::new(span, DeValue::String(text))),
                Some(wrong) => wrong,
            },
            other if !fits(&other, schema) => {
                (format!("expected {}, found {}", expected(schema), found(&other)), None)
            }
            DeValue::Table(table) => {
                return Some(Spanned::new(span, DeValue::Table(self.table(table, schema, &path))));
            }
            DeValue::Array(array) => {
                let items = array.into_iter().enumerate();
                let fitting =
                    items.filter_map(|(i, value)| self.value(value, &schema["items"], item(&path, i)));
                return Some(Spanned::new(span, DeValue::Array(fitting.collect())));
            }
            scalar => return Some(Spanned::new(span, scalar)),
        };
        self.found.mistakes.push(Mistake { help, ..Mistake::new(span, &path, message) });
        self.found.unsure.push(path);
        None
    }

    fn unknown(&mut self, key: &Key<'_>, parent: &str, path: String, near: &Map<String, Json>) {
        let (name, span) = (key.get_ref().as_ref(), key.span());
        self.found.unsure.push(path.clone());
        let keys = || near.keys().map(String::as_str);
        let help = if let Some(meant) = nearest(name, keys()) {
            self.found.unsure.push(join(parent, meant));
            format!("did you mean `{meant}`?")
        } else if let Some(section) = sections_with(self.root, name).first() {
            format!("`{name}` belongs under {section}")
        } else {
            format!("known here: {}", listed(keys()))
        };
        self.found.mistakes.push(Mistake::new(span, path, "unknown key").help(help));
    }
}

/// The sections that have the key `name`.
fn sections_with(root: &Json, name: &str) -> Vec<String> {
    let has = |schema: &Json| schema["properties"].get(name).is_some();
    let mut sections = Vec::new();
    for (section, schema) in root["properties"].as_object().into_iter().flatten() {
        if has(schema) {
            sections.push(format!("`[{section}]`"));
        } else if has(&schema["additionalProperties"]) {
            sections.push(format!("`[{section}.NAME]`"));
        } else if has(&schema["items"]) {
            sections.push(format!("`[[{section}]]`"));
        }
    }
    if has(root) {
        sections.push("the top of the file".into());
    }
    sections
}

fn fits(value: &DeValue<'_>, schema: &Json) -> bool {
    let kind = match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
        DeValue::Datetime(_) => return false,
    };
    let types = &schema["type"];
    types == kind || types.as_array().is_some_and(|types| types.iter().any(|t| t == kind))
}

/// The texts that a key may have, if they are a fixed few.
pub(crate) fn choices(schema: &Json) -> Vec<&str> {
    let here = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
    let below = schema["oneOf"].as_array().into_iter().flatten().flat_map(choices);
    here.filter_map(Json::as_str).chain(below).collect()
}

fn not_a_choice(text: &str, schema: &Json) -> Option<(String, Option<String>)> {
    let choices = choices(schema);
    if choices.contains(&text) {
        return None;
    }
    let help = nearest(text, choices.iter().copied()).map(|meant| format!("did you mean \"{meant}\"?"));
    Some((format!("expected {}", expected(schema)), help))
}

/// What should stand there, in words.
fn expected(schema: &Json) -> String {
    let choices = choices(schema);
    if !choices.is_empty() {
        let quoted: Vec<_> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
        return format!("one of {}", quoted.join(", "));
    }
    let words = match (schema["title"].as_str(), schema["type"].as_str()) {
        (Some("time"), _) => "a time in quotes such as \"30s\"",
        (Some("size"), _) => "a size in quotes such as \"64KiB\"",
        (Some("rate"), _) => "a rate in quotes such as \"20/s\"",
        (Some("secret"), _) => "a secret such as { env = \"NAME\" } or { file = \"…\" }",
        (_, Some("string")) => "a text in quotes",
        (_, Some("integer")) => "a whole number",
        (_, Some("boolean")) => "true or false",
        (_, Some("array")) => "a list in square brackets",
        (_, Some("object")) => "a table",
        _ => "another value",
    };
    words.to_owned()
}

/// What does stand there. Only the kind is said: the value could be a secret.
fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
