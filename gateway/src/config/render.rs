//! Shows mistakes as a compiler does: what, where, the line with a mark under it, and help.

use annotate_snippets::normalize_untrusted_str as clean;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::hidden::{holds_secret, masked};
use super::mistake::{Mistake, Mistakes};
use super::source::Span;

/// The most mistakes that are shown: beyond that, nobody reads on.
const SHOWN_MAX: usize = 100;

pub(super) fn mistakes(all: &Mistakes, colours: bool) -> String {
    let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for mistake in all.list.iter().take(SHOWN_MAX) {
        text.push_str(&renderer.render(&groups(all, mistake)));
        text.push_str("\n\n");
    }
    let (count, file) = (all.list.len(), all.sources.main());
    if count > SHOWN_MAX {
        text.push_str(&format!("… and {} more\n\n", count - SHOWN_MAX));
    }
    let s = if count == 1 { "" } else { "s" };
    text.push_str(&format!("{count} mistake{s} in {}; nothing was started\n", clean(file)));
    // The renderer keeps these, and some terminals take them for commands.
    text.replace(|c| ('\u{80}'..='\u{9f}').contains(&c), "\u{fffd}")
}

fn groups<'a>(all: &'a Mistakes, mistake: &'a Mistake) -> Vec<Group<'a>> {
    let clean = |text: &str| clean(&masked(text));
    let message = if mistake.key.is_empty() || mistake.message.contains(&format!("`{}`", mistake.key)) {
        clean(&mistake.message)
    } else {
        clean(&format!("{}: {}", mistake.key, mistake.message))
    };
    let mut first = Level::ERROR.primary_title(message).elements(place(all, &mistake.span));
    if let (None, Some(help)) = (&mistake.also, &mistake.help) {
        first = first.element(Level::HELP.message(clean(help)));
    }
    let mut groups = vec![first];
    if let Some((span, what)) = &mistake.also {
        let mut second = Level::NOTE.secondary_title(clean(what)).elements(place(all, span));
        if let Some(help) = &mistake.help {
            second = second.element(Level::HELP.message(clean(help)));
        }
        groups.push(second);
    }
    groups
}

/// The place and, unless a secret stands on it, the line.
///
/// The renderer is given that line alone, so no neighbour of it can be shown by accident.
fn place<'a>(all: &'a Mistakes, span: &Span) -> Option<Element<'a>> {
    let line = all.sources.line(span)?;
    let touches = |hidden: &Span| hidden.start <= line.span.end && hidden.end >= line.span.start;
    // A secret may have been pasted under any key, or into a comment: there nothing but its looks tells.
    if line.text.trim().is_empty() || all.hidden.iter().any(touches) || holds_secret(line.text) {
        return Some(Origin::path(clean(line.file)).line(line.number).char_column(line.column).into());
    }
    let mark = AnnotationKind::Primary.span(line.part);
    Some(Snippet::source(line.text).line_start(line.number).path(clean(line.file)).annotation(mark).into())
}
