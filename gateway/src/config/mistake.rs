//! What is wrong with a config: each mistake with its place, all of them in one answer.

use std::fmt;

use super::hidden::masked;
use super::render;
use super::source::{SourceMap, Span};

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone)]
pub(crate) struct Mistake {
    pub(crate) span: Span,
    /// The key path, such as `app.shop.appid`. Empty where there is none.
    pub(crate) key: String,
    /// What is wrong. Never repeats a value that could be a secret.
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// A second place that belongs to it, and what is there.
    pub(crate) also: Option<(Span, String)>,
}

impl Mistake {
    pub(crate) fn new(span: Span, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { span, key: key.into(), message: message.into(), help: None, also: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn also(mut self, span: Span, what: impl Into<String>) -> Self {
        self.also = Some((span, what.into()));
        self
    }
}

/// Every mistake of one config, in the order of its files, with all that is needed to show them.
pub(crate) struct Mistakes {
    pub(crate) list: Vec<Mistake>,
    pub(crate) sources: SourceMap,
    /// Where secrets stand in the text: a line that touches one is never shown.
    pub(crate) hidden: Vec<Span>,
}

impl Mistakes {
    pub(crate) fn new(mut list: Vec<Mistake>, sources: SourceMap, hidden: Vec<Span>) -> Self {
        list.sort_by_key(|mistake| mistake.span.start);
        Self { list, sources, hidden }
    }

    /// Others of the same sources, as `file:line: key: message`.
    pub(crate) fn one_line_each(&self, others: &[Mistake]) -> Vec<String> {
        let place =
            |span: &Span| self.sources.line(span).map(|line| format!("{}:{}", line.file, line.number));
        let text = |m: &Mistake| {
            let place = place(&m.span).unwrap_or_default();
            format!("{place}: {}: {}", masked(&m.key), masked(&m.message))
        };
        others.iter().map(text).collect()
    }

    /// All mistakes as a compiler would show them; `colours` for a terminal.
    pub(crate) fn render(&self, colours: bool) -> String {
        render::mistakes(self, colours)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// As [`Display`](fmt::Display): the sources hold secrets, so no derived form may exist.
impl fmt::Debug for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Mistakes {}

/// The one of `known` that `wrong` was probably meant to be.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let wrong = letters(wrong);
    let far = |name: &str| strsim::damerau_levenshtein(&wrong, &letters(name));
    let (distance, name) = known.into_iter().map(|name| (far(name), name)).min()?;
    (distance <= (wrong.chars().count().max(name.chars().count()) / 3).max(1)).then_some(name)
}

/// Names for a message: `` `a`, `b`, `c` ``.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_does_not() {
        let known = ["servers", "connect_timeout", "ttl", "host"];
        assert_eq!(nearest("servrs", known), Some("servers"));
        assert_eq!(nearest("server", known), Some("servers"));
        assert_eq!(nearest("connectTimeout", known), Some("connect_timeout"));
        assert_eq!(nearest("tll", known), Some("ttl"));
        assert_eq!(nearest("balancing", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
