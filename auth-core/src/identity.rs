//! Who and where: the identifiers that tokens, sessions and services speak of. None of them is a secret.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SecureRandom;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// A text that is not the identifier it should be. Says the shape, never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {what}: expected {shape}")]
pub struct IdentityError {
    what: &'static str,
    shape: &'static str,
}

/// Declares an identifier over shared text with a check of its shape.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal, $shape:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the shape of `text`.
            pub fn parse(text: &str) -> Result<Self, IdentityError> {
                let check: fn(&[u8]) -> bool = $check;
                if check(text.as_bytes()) {
                    Ok(Self(text.into()))
                } else {
                    Err(IdentityError { what: $what, shape: $shape })
                }
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdentityError;
            fn try_from(text: String) -> Result<Self, IdentityError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    };
}

identifier!(
    /// The id of one mini program: `wx` and 16 lower-case hex digits.
    AppId, "an appid", "`wx` and 16 lower-case hex digits",
    |text| text.len() == 18
        && text.starts_with(b"wx")
        && text[2..].iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
);

identifier!(
    /// One user of one app: 28 characters in practice, stable per user and app.
    ///
    /// Accepted are 1 to 128 of `A-Z a-z 0-9 _ -`: WeChat does not promise the length.
    OpenId, "an openid", "1 to 128 of A-Z a-z 0-9 _ -", is_user_id
);

identifier!(
    /// One user across the apps of one Open Platform account. Not every app has it.
    UnionId, "a unionid", "1 to 128 of A-Z a-z 0-9 _ -", is_user_id
);

fn is_user_id(text: &[u8]) -> bool {
    (1..=128).contains(&text.len())
        && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// The id of a [`LoginSession`](crate::session::LoginSession): 128 random bits, written as 22 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sid([u8; Self::BYTES]);

impl Sid {
    /// Length of an id in bytes.
    pub const BYTES: usize = 16;

    /// A new id from `random`, which should be the operating system's generator.
    ///
    /// # Panics
    /// If the generator fails, which no caller could make good: an id must never be guessable.
    pub fn random(random: &dyn SecureRandom) -> Self {
        let mut bytes = [0; Self::BYTES];
        random.fill(&mut bytes).expect("the system's random generator works");
        Self(bytes)
    }

    /// Reads the 22 characters that [`Display`](fmt::Display) writes, and only those.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let mut bytes = [0; Self::BYTES];
        // Not the unchecked decoding: a text too long for the slice panics it.
        match URL_SAFE_NO_PAD.decode_slice(text.as_bytes(), &mut bytes) {
            Ok(Self::BYTES) if text.len() == 22 => Ok(Self(bytes)),
            _ => Err(IdentityError { what: "a session id", shape: "22 characters of base64url" }),
        }
    }

    /// Appends what [`Display`](fmt::Display) writes.
    pub fn write(&self, out: &mut String) {
        URL_SAFE_NO_PAD.encode_string(self.0, out);
    }

    /// The id as bytes: the key under which stores keep a session.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The id that a store kept under `bytes`.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({self})")
    }
}

impl TryFrom<String> for Sid {
    type Error = IdentityError;
    fn try_from(text: String) -> Result<Self, IdentityError> {
        Self::parse(&text)
    }
}

impl From<Sid> for String {
    fn from(sid: Sid) -> Self {
        sid.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_appid_is_wx_and_sixteen_lower_case_hex_digits() {
        assert!(AppId::parse("wx4f4bc4dec97d474b").is_ok());
        for wrong in
            ["", "wx", "wx4f4bc4dec97d474", "wx4F4BC4DEC97D474B", "wx4f4bc4dec97d474b ", "gh4f4bc4dec97d474b"]
        {
            assert!(AppId::parse(wrong).is_err(), "{wrong:?} passed");
        }
    }

    #[test]
    fn a_user_id_holds_nothing_that_a_header_could_not() {
        assert!(OpenId::parse("oGZUI0egBJY1zhBYw2KhdUfwVJJE").is_ok());
        for wrong in ["", "o a", "o\r\nX: y", "o,b", "ö", &"o".repeat(129)] {
            assert!(OpenId::parse(wrong).is_err(), "{wrong:?} passed");
        }
    }

    #[test]
    fn ids_of_sessions_have_no_pattern() {
        const IDS: usize = 200_000;
        let random = aws_lc_rs::rand::SystemRandom::new();
        let ids: Vec<u128> =
            (0..IDS).map(|_| u128::from_be_bytes(*Sid::random(&random).as_bytes())).collect();
        let different = ids.iter().collect::<std::collections::HashSet<_>>().len();
        assert_eq!(different, IDS);
        for bit in 0..128 {
            let ones = ids.iter().filter(|id| *id >> bit & 1 == 1).count();
            let same_as_before = ids.windows(2).filter(|two| (two[0] ^ two[1]) >> bit & 1 == 0).count();
            // By chance it is further off than this once in ten to the sixteen runs.
            for count in [ones, same_as_before] {
                assert!(count.abs_diff(IDS / 2) < IDS / 100, "bit {bit}: {count} of {IDS}");
            }
        }
    }

    #[test]
    fn a_sid_reads_back_and_has_one_spelling() {
        let sid = Sid::random(&aws_lc_rs::rand::SystemRandom::new());
        let text = sid.to_string();
        assert_eq!(text.len(), 22);
        assert_eq!(Sid::parse(&text), Ok(sid));
        assert!(Sid::parse(&format!("{text}=")).is_err());
        // The last character carries four bits of nothing: set, they would make a second spelling.
        assert!(Sid::parse("AAAAAAAAAAAAAAAAAAAAAB").is_err());
        for length in (0..100).filter(|length| *length != 22) {
            assert!(Sid::parse(&"A".repeat(length)).is_err(), "{length} characters passed");
        }
    }
}
