//! Where secrets stand in the text of a config. No line that holds one is ever shown, whatever is wrong with it.

use toml::de::DeValue;

use super::merge::{Table, Value};
use super::source::{SourceMap, Span};

/// The places of all secrets. `broken`: the text is not TOML throughout, so the table does not tell all of them.
pub(crate) fn hidden(table: &Table<'_>, sources: &SourceMap, broken: bool) -> Vec<Span> {
    let mut spans = Vec::new();
    in_table(table, false, &mut spans);
    if broken {
        sources.texts().for_each(|(text, base)| in_text(text, base, &mut spans));
    }
    spans
}

/// Whether what stands under this name may be a secret. Misspelt names must be caught too: so parts of a name suffice, and
/// of an app and of the private listener nothing is shown but what is known to be none.
fn secretive(name: &str) -> bool {
    let name = name.to_lowercase();
    if OF_SECRETS.contains(&name.as_str()) {
        return true;
    }
    ["secret", "key", "pass", "credential", "pem", "redis"].iter().any(|part| name.contains(part))
}

/// Tables that hold little but secrets.
const OF_SECRETS: [&str; 2] = ["app", "admin"];

/// What is no secret wherever it stands.
const PLAIN: [&str; 3] = ["kid", "appid", "listen"];

fn in_table(table: &Table<'_>, inside: bool, spans: &mut Vec<Span>) {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        match value.get_ref() {
            // These name a secret and hold none, unless someone mistook them for the place of the secret itself.
            DeValue::String(text) if name == "env" || name == "file" => {
                if inside && looks_secret(text) {
                    spans.push(value.span());
                }
            }
            DeValue::String(_) if PLAIN.contains(&name) => {}
            _ => in_value(value, inside || secretive(name), spans),
        }
    }
}

fn in_value(value: &Value<'_>, inside: bool, spans: &mut Vec<Span>) {
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, inside, spans),
        DeValue::Array(array) => array.iter().for_each(|value| in_value(value, inside, spans)),
        _ if inside => spans.push(value.span()),
        _ => {}
    }
}

/// Whether a text that should name a variable or a file looks like a secret instead.
pub(crate) fn looks_secret(text: &str) -> bool {
    let hex = text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let has = |kind: fn(&char) -> bool| text.chars().any(|c| kind(&c));
    let mixed = has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase) && has(char::is_ascii_digit);
    hex || (mixed && text.len() >= 24 && !text.contains(['/', '.']))
        || text.contains("-----BEGIN")
        || text.contains('\n')
}

/// Whether a part of a line looks like a secret, whatever key it stands under.
pub(crate) fn holds_secret(line: &str) -> bool {
    words(line).any(is_secret_word)
}

/// `text` without what looks like a secret: a message may repeat a name, and someone may have pasted a secret there.
pub(crate) fn masked(text: &str) -> String {
    let mut masked = text.to_owned();
    for secret in words(text).filter(|word| is_secret_word(word)) {
        masked = masked.replace(secret, "…");
    }
    masked
}

/// The parts of a text that base64 could be.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')))
}

/// A slash is of base64 as well as of paths, where each part stands for itself.
fn is_secret_word(word: &str) -> bool {
    let whole = word.len() >= 32 && !word.starts_with('/') && looks_secret(&word.replace('/', "+"));
    whole || word.split('/').any(looks_secret)
}

/// Lines that hold a secretive word, the lines of apps and of the private listener, whole texts in triple quotes, and whole PEM blocks.
fn in_text(text: &str, base: usize, spans: &mut Vec<Span>) {
    let (mut inside, mut of_secrets, mut start) = (false, false, 0);
    for line in text.split_inclusive('\n') {
        let here = base + start..base + start + line.len();
        start += line.len();
        let edge = line.contains("\"\"\"") || line.contains("'''") || line.contains("-----");
        let words = line.trim_start();
        if words.starts_with('[') {
            let name = words.trim_start_matches(['[', ' ']);
            of_secrets = OF_SECRETS.iter().any(|table| name.starts_with(table));
        }
        let plain = words.starts_with('[') || PLAIN.iter().any(|name| words.starts_with(name));
        let dotted = OF_SECRETS
            .iter()
            .any(|table| words.strip_prefix(table).is_some_and(|rest| rest.starts_with(['.', ' '])));
        if inside || edge || (of_secrets && !plain) || dotted || secretive(line) {
            spans.push(here);
        }
        inside ^= edge;
    }
}
