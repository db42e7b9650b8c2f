//! The small languages inside the file: times, sizes, rates, and where a secret is found.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// A length of time such as `"30s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Time(pub(crate) Duration);

/// A number of bytes such as `"1MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Size(pub(crate) u64);

impl Time {
    pub(crate) const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

/// So many requests in such a time: `"20/s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Limit {
    pub(crate) requests: u32,
    pub(crate) window: Duration,
}

/// A limit that is on by default and can be turned off: `"20/s"` or `"off"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Ceiling(pub(crate) Option<Limit>);

/// Where a secret is found.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Where")]
pub(crate) enum Secret {
    Env(String),
    File(String),
    /// The secret itself, which only `wxgate dev` accepts.
    Plain(SecretString),
    /// None of these, or several.
    Unclear,
}

/// A secret that stands in the file itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Plain(pub(crate) SecretString);

impl From<String> for Plain {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// [`Secret`] as TOML writes it. The walk over the schema has already refused every other type.
#[derive(Deserialize)]
#[serde(untagged)]
enum Where {
    Plain(Plain),
    Table { env: Option<String>, file: Option<String> },
}

impl From<Where> for Secret {
    fn from(written: Where) -> Self {
        match written {
            Where::Plain(text) => Self::Plain(text.0),
            Where::Table { env, file } => Self::of(env, file, None),
        }
    }
}

impl Secret {
    /// The one place that is named, if it is one.
    pub(crate) fn of(env: Option<String>, file: Option<String>, plain: Option<Plain>) -> Self {
        match (env, file, plain) {
            (Some(name), None, None) => Self::Env(name),
            (None, Some(path), None) => Self::File(path),
            (None, None, Some(text)) => Self::Plain(text.0),
            _ => Self::Unclear,
        }
    }
}

/// From the smallest unit to the largest; nothing but these is read or written.
const TIME_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// In seconds.
const LIMIT_UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3_600)];
/// A ceiling that is none.
const OFF: &str = "off";
const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads a whole number and one of `units`, as a number of the smallest.
fn parse_quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes `number` in the largest unit that divides it.
fn write_quantity(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |factor: u64| factor == 1 || (number != 0 && number.is_multiple_of(factor));
    let found = units.iter().rev().find(|(_, factor)| fits(*factor));
    found.map_or_else(|| number.to_string(), |(name, factor)| format!("{}{name}", number / factor))
}

impl TryFrom<String> for Time {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let millis = parse_quantity(&text, &TIME_UNITS);
        millis.map(|ms| Self(Duration::from_millis(ms))).ok_or(
            "not a time: write a whole number and one of ms, s, m, h, d without a space, as in \"30s\" or \"2h\"",
        )
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        if time.0.is_zero() {
            return "0s".into();
        }
        write_quantity(u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX), &TIME_UNITS)
    }
}

impl TryFrom<String> for Size {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        parse_quantity(&text, &SIZE_UNITS).map(Self).ok_or(
            "not a size: write a whole number and one of B, KiB, MiB, GiB without a space, as in \"64KiB\"",
        )
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        write_quantity(size.0, &SIZE_UNITS)
    }
}

impl TryFrom<String> for Limit {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        parse_limit(&text).ok_or(
            "not a rate: write requests from 1, a slash and one of s, m, h, as in \"20/s\" or \"100/m\"",
        )
    }
}

impl TryFrom<String> for Ceiling {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == OFF {
            return Ok(Self(None));
        }
        parse_limit(&text).map(|limit| Self(Some(limit))).ok_or(
            "not a rate: write requests from 1, a slash and one of s, m, h, as in \"20/s\" or \"100/m\", or \"off\"",
        )
    }
}

impl From<Ceiling> for String {
    fn from(ceiling: Ceiling) -> Self {
        let Some(Limit { requests, window }) = ceiling.0 else { return OFF.into() };
        let unit = LIMIT_UNITS.iter().find(|(_, secs)| *secs == window.as_secs());
        format!("{requests}/{}", unit.map_or("s", |(name, _)| name))
    }
}

fn parse_limit(text: &str) -> Option<Limit> {
    let (number, unit) = text.split_once('/')?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let requests = number.parse().ok().filter(|n| digits && *n > 0)?;
    let (_, window) = LIMIT_UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(Limit { requests, window: Duration::from_secs(*window) })
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(*self))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(*self))
    }
}

/// Declares the schema of a value that is written as a text of a certain form.
macro_rules! text_schema {
    ($name:ident, $title:literal, $pattern:literal) => {
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $title.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "title": $title, "pattern": $pattern })
            }
        }
    };
}

text_schema!(Time, "time", "^[0-9]+(ms|s|m|h|d)$");
text_schema!(Size, "size", "^[0-9]+(B|KiB|MiB|GiB)$");
text_schema!(Limit, "rate", "^[0-9]+/[smh]$");
text_schema!(Ceiling, "rate", "^([0-9]+/[smh]|off)$");

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["object", "string"],
            "title": "secret",
            "properties": {
                "env": { "type": "string", "description": "The environment variable that holds the secret." },
                "file": { "type": "string", "description":
                    "The file that holds the secret; a relative path counts from the folder of the main config file. \
                     One line break at its end is not part of the secret." },
            },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_a_whole_number_and_a_unit() {
        let time = |text: &str| Time::try_from(text.to_owned()).ok().map(|t| t.0);
        assert_eq!(time("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(time("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(time("0s"), Some(Duration::ZERO));
        for wrong in
            ["", "5", "s", "5 s", "1.5s", "-1s", "+1s", "5S", "5sec", "1h30m", "99999999999999999999s"]
        {
            assert_eq!(time(wrong), None, "{wrong:?} passed");
        }
        let size = |text: &str| Size::try_from(text.to_owned()).ok().map(|s| s.0);
        assert_eq!(size("1MiB"), Some(1 << 20));
        for wrong in ["1MB", "1 MiB", "1m", "1", "18446744073709551615GiB"] {
            assert_eq!(size(wrong), None, "{wrong:?} passed");
        }
    }

    #[test]
    fn a_quantity_is_written_as_it_is_read() {
        for text in ["0s", "1500ms", "30s", "2h", "30d"] {
            assert_eq!(String::from(Time::try_from(text.to_owned()).unwrap()), text);
        }
        for text in ["0B", "1000B", "32KiB", "1GiB"] {
            assert_eq!(String::from(Size::try_from(text.to_owned()).unwrap()), text);
        }
    }

    #[test]
    fn a_rate_is_requests_per_window() {
        let limit = |text: &str| Limit::try_from(text.to_owned()).ok();
        assert_eq!(limit("100/m"), Some(Limit { requests: 100, window: Duration::from_secs(60) }));
        for wrong in ["", "/s", "0/s", "20", "20/", "20/d", "+1/s", "20 / s", "4294967296/s"] {
            assert_eq!(limit(wrong), None, "{wrong:?} passed");
        }
    }

    #[test]
    fn a_ceiling_is_written_as_it_is_read_and_may_be_off() {
        for text in ["20/s", "600/m", "1/h", "off"] {
            assert_eq!(String::from(Ceiling::try_from(text.to_owned()).unwrap()), text);
        }
        for wrong in ["", "0/m", "0", "none", "Off", "false"] {
            assert_eq!(Ceiling::try_from(wrong.to_owned()).ok(), None, "{wrong:?} passed");
        }
    }
}
