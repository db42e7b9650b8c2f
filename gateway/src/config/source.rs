//! The texts that a config was read from, laid end to end like the files of a compiler: every file has a base, and a span
//! is global (base + local), so that one range names a file, a line and a column.

use std::ops::Range;

/// Bytes of all files, counted from the first.
pub(crate) type Span = Range<usize>;

/// One file.
#[derive(Debug)]
struct Source {
    /// As the operator would write it.
    name: String,
    text: String,
    base: usize,
    /// Where each line starts, in the text.
    lines: Vec<usize>,
}

/// All files, in the order in which they were read.
#[derive(Debug, Default)]
pub(crate) struct SourceMap {
    sources: Vec<Source>,
}

/// A span, found again: the one line on which it starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) file: &'a str,
    /// Counted from 1.
    pub(crate) number: usize,
    /// Counted from 1, in characters.
    pub(crate) column: usize,
    /// Without its line break.
    pub(crate) text: &'a str,
    /// The whole line as a global span.
    pub(crate) span: Span,
    /// The part of `text` that was asked for, cut at the end of the line.
    pub(crate) part: Range<usize>,
}

impl SourceMap {
    /// Adds a file and says its base.
    pub(crate) fn add(&mut self, name: String, text: String) -> usize {
        // One byte apart, so that the end of one file is not the start of the next.
        let base = self.sources.last().map_or(0, |last| last.base + last.text.len() + 1);
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        self.sources.push(Source { name, text, base, lines });
        base
    }

    /// The name of the main file.
    pub(crate) fn main(&self) -> &str {
        self.sources.first().map_or("", |source| &source.name)
    }

    /// The number of files.
    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Every text with its base.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, usize)> {
        self.sources.iter().map(|source| (source.text.as_str(), source.base))
    }

    /// The line on which `span` starts. None if there is no such place.
    pub(crate) fn line(&self, span: &Span) -> Option<Line<'_>> {
        let source = self.sources.iter().rev().find(|source| source.base <= span.start)?;
        let text = source.text.as_str();
        let start = floor_char(text, span.start - source.base);
        let number = source.lines.partition_point(|line| *line <= start);
        let from = source.lines[number - 1];
        let until = source.lines.get(number).map_or(text.len(), |next| next - 1);
        let line = text[from..until].trim_end_matches('\r');
        let start = start.min(from + line.len());
        let end = floor_char(text, span.end.saturating_sub(source.base)).clamp(start, from + line.len());
        Some(Line {
            file: &source.name,
            number,
            column: text[from..start].chars().count() + 1,
            text: line,
            span: source.base + from..source.base + until,
            part: start - from..end - from,
        })
    }
}

/// The nearest place at or before `at` where a character starts.
fn floor_char(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_leads_back_to_its_file_line_and_column() {
        let mut sources = SourceMap::default();
        assert_eq!(sources.add("a.toml".into(), "x = 1\nä = 22\r\n".into()), 0);
        let base = sources.add("b.toml".into(), "z = 3".into());
        let line = sources.line(&(11..13)).unwrap();
        assert_eq!((line.file, line.number, line.column, line.text), ("a.toml", 2, 5, "ä = 22"));
        assert_eq!(&line.text[line.part], "22");
        let line = sources.line(&(base + 4..base + 99)).unwrap();
        assert_eq!((line.file, line.number, line.column, &line.text[line.part]), ("b.toml", 1, 5, "3"));
        // The end of a file belongs to it, a place inside a character to the character.
        assert_eq!(sources.line(&(base - 1..base - 1)).unwrap().number, 3);
        assert_eq!(sources.line(&(7..8)).unwrap().column, 1);
    }
}
