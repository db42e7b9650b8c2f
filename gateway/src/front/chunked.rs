//! A chunked body, followed byte by byte to its end (RFC 9112 §7.1). pingora's parser takes an empty size for 0 and
//! anything, line feeds too, for an extension: two readers could find two ends.

use super::Refusal;

/// The longest size line with its extensions, in bytes. Nobody uses extensions.
const SIZE_LINE_BYTES_MAX: usize = 256;
/// Trailer fields together, in bytes. They are dropped on the way.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Digits of a chunk's size: what fits 60 bits fits every reader's integer.
const SIZE_DIGITS_MAX: usize = 15;

/// Where in a chunked body the reader stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Chunked {
    at: At,
    /// What is left of the chunk, or its size as read so far.
    left: u64,
    /// Bytes of the present line, or of all trailers.
    line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Size,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    /// The first byte of a trailer line, or of the empty line that ends it all.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    LastEnd,
    Done,
}

impl Chunked {
    pub(crate) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Reads on in `bytes` and returns how many of them are the body's: all, unless it ends among them.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        while at < bytes.len() && self.at != At::Done {
            if self.at == At::Data {
                let here = (bytes.len() - at).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                at += here;
                self.left -= here as u64;
                if self.left == 0 {
                    self.at = At::DataReturn;
                }
            } else {
                self.at = self.step(bytes[at]).ok_or(Refusal::Framing)?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// Where the reader stands after `byte`; nowhere if the byte may not come here.
    fn step(&mut self, byte: u8) -> Option<At> {
        self.line += 1;
        let in_trailer =
            matches!(self.at, At::TrailerStart | At::TrailerName | At::TrailerValue | At::TrailerEnd);
        if self.line > if in_trailer { TRAILER_BYTES_MAX } else { SIZE_LINE_BYTES_MAX } {
            return None;
        }
        match (self.at, byte) {
            (At::Size, digit) if digit.is_ascii_hexdigit() && self.line <= SIZE_DIGITS_MAX => {
                self.left = self.left << 4 | u64::from((digit as char).to_digit(16)?);
                Some(At::Size)
            }
            (At::Size, b'\r') if self.line > 1 => Some(At::SizeEnd),
            (At::Size, b';') if self.line > 1 => Some(At::Extension),
            (At::Extension, b'\r') => Some(At::SizeEnd),
            (At::Extension, byte) if is_text(byte) => Some(At::Extension),
            (At::SizeEnd, b'\n') => {
                self.line = 0;
                Some(if self.left == 0 { At::TrailerStart } else { At::Data })
            }
            (At::DataReturn, b'\r') => Some(At::DataEnd),
            (At::DataEnd, b'\n') => {
                self.line = 0;
                Some(At::Size)
            }
            (At::TrailerStart, b'\r') => Some(At::LastEnd),
            (At::TrailerName, b':') => Some(At::TrailerValue),
            (At::TrailerStart | At::TrailerName, byte) if super::head::is_token(byte) => {
                Some(At::TrailerName)
            }
            (At::TrailerValue, b'\r') => Some(At::TrailerEnd),
            (At::TrailerValue, byte) if is_text(byte) => Some(At::TrailerValue),
            (At::TrailerEnd, b'\n') => Some(At::TrailerStart),
            (At::LastEnd, b'\n') => Some(At::Done),
            _ => None,
        }
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut chunked = Chunked::default();
        let own = chunked.read(body)?;
        Ok((own, chunked.is_done()))
    }

    #[test]
    fn a_body_ends_with_its_last_chunk() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\"\r\nhello\r\n00\r\n\r\n",
            "9\r\n\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
            "A\r\n0123456789\r\n0;x\r\nX-Sum: 1\r\nY:\r\n\r\n",
        ] {
            let followed = format!("{body}GET / HTTP/1.1\r\n");
            assert_eq!(read(followed.as_bytes()), Ok((body.len(), true)), "{body:?}");
            assert_eq!(read(&body.as_bytes()[..body.len() - 1]), Ok((body.len() - 1, false)), "{body:?}");
        }
    }

    #[test]
    fn a_body_that_two_could_read_differently_is_refused() {
        let too_long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(SIZE_LINE_BYTES_MAX));
        let much_trailer = format!("0\r\n{}\r\n", "X: 0123456789\r\n".repeat(TRAILER_BYTES_MAX / 15 + 1));
        for body in [
            "\r\n",
            ";a\r\n",
            "0x5\r\nhello\r\n",
            "+5\r\nhello\r\n",
            "-0\r\n\r\n",
            "5 5\r\n",
            " 5\r\n",
            "5 \r\nhello\r\n",
            "5\t;a\r\nhello\r\n",
            "1_0\r\n",
            "00000000000000005\r\nhello\r\n",
            "ffffffffffffffff\r\n",
            "5\nhello\r\n",
            "5;a\nb\r\nhello\r\n",
            "5\r\r\nhello\r\n",
            "5\r\nhello0\r\n",
            "5\r\nhello\n0\r\n",
            "5\r\nhel\r\n0\r\n\r\n",
            "0\r\nX : a\r\n\r\n",
            "0\r\n X: a\r\n\r\n",
            "0\r\nX: a\n\r\n",
            "0\r\nX\r\n\r\n",
            "0\r\n\n",
            &too_long,
            &much_trailer,
        ] {
            assert_eq!(read(body.as_bytes()), Err(Refusal::Framing), "{body:?}");
        }
    }

    proptest! {
        /// However a body is cut into pieces, it ends where it ends.
        #[test]
        fn pieces_change_nothing(body in proptest::collection::vec(proptest::sample::select(b"0123aF\r\n;: X".to_vec()), 0..24), cut in 1_usize..5) {
            let mut chunked = Chunked::default();
            let mut slowly = Ok(0);
            for piece in body.chunks(cut) {
                let own = chunked.read(piece);
                slowly = match (slowly, own) {
                    (Ok(before), Ok(own)) => Ok(before + own),
                    (_, refusal) => refusal,
                };
                if slowly.is_err() || chunked.is_done() {
                    break;
                }
            }
            prop_assert_eq!(slowly.map(|own| (own, chunked.is_done())), read(&body));
        }
    }
}
