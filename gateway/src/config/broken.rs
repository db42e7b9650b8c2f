//! Text that is not TOML. The parser recovers and reads on; what it reads inside a broken value is not what was meant.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::mistake::Mistake;
use super::places::{item, join};
use super::source::Span;

/// What is not TOML.
#[derive(Debug, Default)]
pub(crate) struct Broken {
    pub(crate) mistakes: Vec<Mistake>,
    /// The keys whose values are lost.
    pub(crate) unsure: Vec<String>,
}

impl Broken {
    /// `table` without the values in which the parser stumbled. Of the mistakes in such a value only the first is kept: behind
    /// an open bracket the whole rest of the file is one wrong item after another.
    pub(crate) fn take_out<'s>(
        &mut self,
        table: DeTable<'s>,
        errors: &[Error],
        text: &str,
        base: usize,
    ) -> DeTable<'s> {
        let span = |error: &Error| error.span().unwrap_or(text.len()..text.len());
        let errors = errors
            .iter()
            .rev()
            .map(|error| (span(error).start, (span(error).end, error.message().to_owned())));
        let mut walk = Walk { text, base, errors: errors.collect(), broken: self };
        let sound = walk.table(table, "");
        for (start, (end, message)) in std::mem::take(&mut walk.errors) {
            self.mistakes.push(Mistake::new(start + base..end + base, "", message));
        }
        sound
    }
}

struct Walk<'a> {
    text: &'a str,
    base: usize,
    /// What is not yet explained: start, end and message.
    errors: BTreeMap<usize, (usize, String)>,
    broken: &'a mut Broken,
}

impl Walk<'_> {
    fn table<'s>(&mut self, table: DeTable<'s>, path: &str) -> DeTable<'s> {
        let mut sound = DeTable::new();
        for (key, value) in table {
            let path = join(path, key.get_ref());
            if let Some(value) = self.value(value, path) {
                sound.insert(key, value);
            }
        }
        sound
    }

    fn value<'s>(&mut self, value: Spanned<DeValue<'s>>, path: String) -> Option<Spanned<DeValue<'s>>> {
        let span = value.span();
        let value = match value.into_inner() {
            DeValue::Table(table) if !self.is_inline(&span) => DeValue::Table(self.table(table, &path)),
            DeValue::Array(array) if array.first().is_some_and(|first| first.span().start == span.start) => {
                let tables = array.into_iter().enumerate();
                DeValue::Array(
                    tables.filter_map(|(index, table)| self.value(table, item(&path, index))).collect(),
                )
            }
            inline if self.explains(&inline, &span) => {
                self.broken.unsure.push(path);
                return None;
            }
            inline => inline,
        };
        Some(Spanned::new(span, value))
    }

    fn is_inline(&self, span: &Span) -> bool {
        self.text.get(span.start..).is_some_and(|text| text.starts_with('{'))
    }

    /// Whether the parser stumbled in this value. Then its first mistake is noted and the others are forgotten.
    fn explains(&mut self, value: &DeValue<'_>, span: &Span) -> bool {
        let inside: Vec<usize> = self.errors.range(span.start..=span.end).map(|(start, _)| *start).collect();
        let mut errors = inside.iter().filter_map(|start| Some((*start, self.errors.remove(start)?)));
        let Some((start, (end, message))) = errors.next() else { return false };
        let several = errors.count() > 0;
        let base = self.base;
        let mistake = Mistake::new(start + base..end + base, "", message);
        self.broken.mistakes.push(match value {
            DeValue::Array(_) | DeValue::Table(_) if several => {
                mistake.also(span.start + base..span.start + base + 1, "opened here")
            }
            // `info` is taken for a misspelt `inf`.
            DeValue::Float(text) if text.as_str().starts_with(['i', 'n']) => {
                Mistake { message: "string values must be quoted".into(), ..mistake }
            }
            _ => mistake,
        });
        true
    }
}
