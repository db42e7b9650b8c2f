//! The time of a line, in RFC 3339. All but the milliseconds is written once a second.

use std::time::{Duration, UNIX_EPOCH};

/// Writes times; remembers the last second in writing.
#[derive(Debug, Default)]
pub(crate) struct Stamp {
    second: u64,
    /// Up to the point before the milliseconds.
    text: String,
}

impl Stamp {
    /// Milliseconds since the Unix epoch, as in `2026-11-21T08:30:00.042Z`.
    pub(super) fn write(&mut self, unix_millis: u64, out: &mut String) {
        let (second, millis) = (unix_millis / 1000, (unix_millis % 1000) as u32);
        if self.text.is_empty() || self.second != second {
            let whole =
                humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(second)).to_string();
            self.text = whole.trim_end_matches('Z').to_owned() + ".";
            self.second = second;
        }
        out.push_str(&self.text);
        three_digits(out, millis);
        out.push('Z');
    }
}

/// `number`, below 1000, with leading zeros.
pub(super) fn three_digits(out: &mut String, number: u32) {
    for place in [100, 10, 1] {
        out.push(char::from_digit(number / place % 10, 10).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_humantime_writes_it() {
        let mut stamp = Stamp::default();
        for millis in [0, 7, 1_000, 1_999, 1_793_000_000_042, 1_793_000_000_999, 1_793_000_001_000, 5] {
            let mut out = String::new();
            stamp.write(millis, &mut out);
            let time = UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(out, humantime::format_rfc3339_millis(time).to_string());
        }
    }
}
