//! One spelling for a path (RFC 3986 §6.2.2), and a refusal for what two readers could read in two ways.

use std::borrow::Cow;

use super::BadTarget;

/// What a byte means in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Byte {
    /// Stands for itself: unreserved, sub-delimiters but `;`, `:` and `@`.
    Plain,
    /// Needs a look at its neighbours: `/`, `.`, `;`, `%`.
    Special,
    /// Printable, but must be encoded: encoded here, as a well-behaved client would have done.
    Encode,
    /// Never in a path.
    Forbidden,
}

const BYTES: [Byte; 256] = {
    let mut table = [Byte::Forbidden; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte as usize] = match byte {
            b'/' | b'.' | b';' | b'%' => Byte::Special,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => Byte::Plain,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => Byte::Plain,
            b'\\' | b'#' | b'?' => Byte::Forbidden,
            _ => Byte::Encode,
        };
        byte += 1;
    }
    table
};

/// The canonical spelling of `path`, borrowed where it came in it.
pub(super) fn canonical(path: &[u8]) -> Result<Cow<'_, str>, BadTarget> {
    if path.first() != Some(&b'/') {
        return Err(BadTarget::NotAPath);
    }
    if is_canonical(path) {
        return std::str::from_utf8(path).map(Cow::Borrowed).map_err(|_| BadTarget::NotUtf8);
    }
    let mut spelled = String::with_capacity(path.len() + 16);
    let mut segments = path[1..].split(|b| *b == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if segment.is_empty() && !is_last {
            return Err(BadTarget::EmptySegment);
        }
        spelled.push('/');
        push_segment(segment, is_last, &mut spelled)?;
    }
    Ok(Cow::Owned(spelled))
}

/// One pass that knows the paths of ordinary traffic; whatever it does not know gets the careful look.
fn is_canonical(path: &[u8]) -> bool {
    let mut before = 0;
    for &byte in path {
        match BYTES[byte as usize] {
            Byte::Plain => {}
            // A dot at the start of a segment may begin a dot segment; a slash or semicolon there an empty one.
            Byte::Special if byte != b'%' && before != b'/' => {}
            Byte::Special | Byte::Encode | Byte::Forbidden => return false,
        }
        before = byte;
    }
    true
}

fn push_segment(segment: &[u8], is_last: bool, spelled: &mut String) -> Result<(), BadTarget> {
    // What the segment means once decoded, for the checks that must not depend on its spelling.
    let mut meaning = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match BYTES[byte as usize] {
            Byte::Special if byte == b'%' => {
                let value = escaped(after)?;
                push_decoded(value, spelled)?;
                meaning.push(value);
                rest = &after[2..];
            }
            Byte::Plain | Byte::Special => {
                spelled.push(char::from(byte));
                meaning.push(byte);
            }
            Byte::Encode => {
                push_encoded(byte, spelled);
                meaning.push(byte);
            }
            Byte::Forbidden => return Err(BadTarget::RawByte),
        }
    }
    check_meaning(&meaning, is_last)
}

/// The value of the two hex digits that `after` starts with.
fn escaped(after: &[u8]) -> Result<u8, BadTarget> {
    let digit = |at: usize| after.get(at).and_then(|b| char::from(*b).to_digit(16));
    let (Some(high), Some(low)) = (digit(0), digit(1)) else { return Err(BadTarget::BadEscape) };
    Ok((high * 16 + low) as u8)
}

fn push_decoded(value: u8, spelled: &mut String) -> Result<(), BadTarget> {
    match value {
        b'/' | b'\\' | 0..0x20 | 0x7f => Err(BadTarget::ForbiddenEscape),
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.' => {
            spelled.push(char::from(value));
            Ok(())
        }
        _ => {
            push_encoded(value, spelled);
            Ok(())
        }
    }
}

fn push_encoded(value: u8, spelled: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    spelled.push('%');
    spelled.push(char::from(HEX[usize::from(value >> 4)]));
    spelled.push(char::from(HEX[usize::from(value & 15)]));
}

/// Some services cut a segment at `;` before they resolve the path: `..;x` is `..` to them, and `/;x/` is `//`. Some
/// decode twice.
fn check_meaning(meaning: &[u8], is_last: bool) -> Result<(), BadTarget> {
    if (0..meaning.len()).any(|at| meaning[at] == b'%' && escaped(&meaning[at + 1..]).is_ok()) {
        return Err(BadTarget::ForbiddenEscape);
    }
    let name = meaning.split(|b| *b == b';').next().unwrap_or_default();
    if name == b"." || name == b".." {
        return Err(BadTarget::DotSegment);
    }
    if name.is_empty() && !meaning.is_empty() && !is_last {
        return Err(BadTarget::EmptySegment);
    }
    let text = std::str::from_utf8(meaning).map_err(|_| BadTarget::NotUtf8)?;
    if text.chars().any(char::is_control) { Err(BadTarget::ForbiddenEscape) } else { Ok(()) }
}
