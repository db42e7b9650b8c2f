//! The reference of every key, written from the schema: what the program does not know cannot stand in it.

mod chinese;

use serde_json::Value;

use super::schema::schema;
use super::shape::choices;

/// The sections in reading order.
const SECTIONS: [&str; 14] = [
    "server",
    "tls",
    "admin",
    "token",
    "session",
    "app",
    "upstream",
    "route",
    "login",
    "endpoints",
    "identity",
    "wechat",
    "store",
    "log",
];

/// The files that are written from the schema, by their paths in the repository. `wxgate schema` prints the first,
/// `wxgate schema --reference en` and `zh` the others.
#[cfg(test)]
pub(super) fn generated_files() -> [(&'static str, String); 3] {
    let schema = format!("{:#}\n", schema());
    [
        ("config/wxgate.schema.json", schema),
        ("docs/config.md", reference_markdown()),
        ("docs/config.zh-CN.md", reference_markdown_chinese()),
    ]
}

/// `docs/config.md`.
pub(crate) fn reference_markdown() -> String {
    markdown(&ENGLISH)
}

/// `docs/config.zh-CN.md`.
pub(crate) fn reference_markdown_chinese() -> String {
    markdown(&chinese::CHINESE)
}

/// The words of one language.
struct Language {
    intro: &'static str,
    top: &'static str,
    columns: [&'static str; 4],
    /// A text, a number, true or false, a list of such, and then time, size, rate, secret.
    kinds: Kinds,
    /// The meaning of the key at a path, which the schema describes in English.
    meaning: fn(&str, &str) -> String,
}

struct Kinds {
    text: &'static str,
    number: &'static str,
    boolean: &'static str,
    list_of: &'static str,
    time: &'static str,
    size: &'static str,
    rate: &'static str,
    secret: &'static str,
}

const ENGLISH: Language = Language {
    intro: include_str!("reference/intro.md"),
    top: "The top of the file",
    columns: ["key", "type", "default", "meaning"],
    kinds: Kinds {
        text: "text",
        number: "number",
        boolean: "true or false",
        list_of: "list of",
        time: "time",
        size: "size",
        rate: "rate",
        secret: "secret",
    },
    meaning: |_, english| english.to_owned(),
};

fn markdown(language: &Language) -> String {
    let schema = schema();
    let mut text = language.intro.to_owned();
    let (keys, tables): (Vec<_>, Vec<_>) =
        entries(&schema, "").into_iter().partition(|entry| !entry.is_table());
    text.push_str(&format!("\n## {}\n\n", language.top));
    table(&keys, "", language, &mut text);
    for name in SECTIONS {
        let Some(section) = tables.iter().find(|section| section.path == name) else { continue };
        let (heading, inner) = match &section.schema {
            schema if schema.get("items").is_some() => (format!("[[{name}]]"), &schema["items"]),
            schema if schema.get("properties").is_none() => {
                (format!("[{name}.NAME]"), &schema["additionalProperties"])
            }
            schema => (format!("[{name}]"), *schema),
        };
        text.push_str(&format!("\n## `{heading}`\n\n{}\n\n", section.meaning(language)));
        table(&deep(inner, name), &format!("{name}."), language, &mut text);
    }
    text
}

fn table(entries: &[Entry<'_>], prefix: &str, language: &Language, text: &mut String) {
    text.push_str(&format!("| {} |\n|---|---|---|---|\n", language.columns.join(" | ")));
    for entry in entries {
        let key = entry.path.strip_prefix(prefix).unwrap_or(&entry.path);
        let (kind, default) = (kind(entry.schema, language), default(entry.schema));
        text.push_str(&format!(
            "| `{key}` | {kind} | {default} | {} |\n",
            entry.meaning(language).replace('|', "\\|")
        ));
    }
}

/// One key of the file.
struct Entry<'a> {
    /// Names of the operator's own and places in lists are left out: `app.appid`, `token.keys.kid`.
    path: String,
    schema: &'a Value,
}

impl Entry<'_> {
    fn is_table(&self) -> bool {
        let holds_table = |key: &str| self.schema[key].get("properties").is_some();
        self.schema.get("properties").is_some() && self.schema["title"] != "secret"
            || holds_table("items")
            || holds_table("additionalProperties")
    }

    fn meaning(&self, language: &Language) -> String {
        (language.meaning)(&self.path, self.schema["description"].as_str().unwrap_or_default())
    }
}

/// The keys right below `schema`.
fn entries<'a>(schema: &'a Value, path: &str) -> Vec<Entry<'a>> {
    let dot = if path.is_empty() { "" } else { "." };
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.map(|(key, schema)| Entry { path: format!("{path}{dot}{key}"), schema }).collect()
}

/// The keys below `schema`, with those of tables inside it.
fn deep<'a>(schema: &'a Value, path: &str) -> Vec<Entry<'a>> {
    let mut all = Vec::new();
    for entry in entries(schema, path) {
        let below = ["items", "additionalProperties"];
        let inner = below.iter().find_map(|key| entry.schema.get(key).filter(|inner| inner.is_object()));
        let inner = inner.unwrap_or(entry.schema);
        let below = if entry.is_table() { deep(inner, &entry.path) } else { Vec::new() };
        all.push(entry);
        all.extend(below);
    }
    all
}

fn kind(schema: &Value, language: &Language) -> String {
    let kinds = &language.kinds;
    let choices = choices(schema);
    if !choices.is_empty() {
        return choices.iter().map(|choice| format!("`\"{choice}\"`")).collect::<Vec<_>>().join(" ");
    }
    let word = match (schema["title"].as_str(), schema["type"].as_str()) {
        (Some("time"), _) => kinds.time,
        (Some("size"), _) => kinds.size,
        (Some("rate"), _) => kinds.rate,
        (Some("secret"), _) => kinds.secret,
        (_, Some("array")) => return format!("{} {}", kinds.list_of, kind(&schema["items"], language)),
        (_, Some("integer")) => kinds.number,
        (_, Some("boolean")) => kinds.boolean,
        (_, Some("object")) => "`{ … }`",
        _ => kinds.text,
    };
    word.to_owned()
}

/// The default as it would be written in the file.
fn default(schema: &Value) -> String {
    match schema.get("default") {
        None => "–".into(),
        // JSON and TOML write texts, numbers, truth and short lists alike, but for a space.
        Some(value) => format!("`{}`", value.to_string().replace("\",\"", "\", \"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every path of the reference.
    fn paths() -> Vec<String> {
        let schema = schema();
        let mut paths = Vec::new();
        for section in entries(&schema, "") {
            let inner = ["items", "additionalProperties"]
                .iter()
                .find_map(|key| Some(&section.schema[key]).filter(|s| s.is_object()));
            paths.extend(
                deep(inner.unwrap_or(section.schema), &section.path).into_iter().map(|entry| entry.path),
            );
            paths.push(section.path);
        }
        paths
    }

    #[test]
    fn every_key_has_a_chinese_meaning_and_no_other_has() {
        let (mut known, mut translated) = (paths(), chinese::paths());
        known.sort();
        translated.sort_unstable();
        assert_eq!(known, translated);
    }

    #[test]
    fn every_section_is_in_the_reference() {
        let (english, chinese) = (reference_markdown(), reference_markdown_chinese());
        for path in paths() {
            let key = path.split_once('.').map_or(path.as_str(), |(_, key)| key);
            let there = |text: &str| {
                text.contains(&format!("`{key}`"))
                    || text.contains(&format!("[{key}]"))
                    || text.contains(&format!("[{key}.NAME]"))
            };
            assert!(there(&english) && there(&chinese), "{path} is missing");
        }
        for other in [english, chinese] {
            assert!(!other.contains("null"), "{other}");
        }
    }

    #[test]
    fn the_generated_files_are_up_to_date() {
        for (path, text) in generated_files() {
            let there = std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR")))
                .unwrap_or_default();
            assert!(
                there == text,
                "{path} is not what the program would write: run `wxgate schema`, or `wxgate schema --reference en|zh`, and put what it prints there"
            );
        }
    }
}
