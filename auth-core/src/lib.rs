#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod clock;
mod identity;
mod secret;

pub mod login;
pub mod wechat;
pub mod session;
pub mod session_data;

pub mod keys;
mod token;
mod caller;
pub mod verify;
pub mod renewal;
pub mod assertion;
pub mod revocation;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

pub use caller::Caller;
pub use clock::{Clock, ManualClock, SystemClock};
pub use identity::{AppId, IdentityError, OpenId, Sid, UnionId};
pub use secret::{AppSecret, CodeError, LoginCode, SessionKey};
pub use token::{LoginToken, TOKEN_BYTES_MAX, TOKEN_LIFE_SECS_MAX};
pub use verify::{TokenError, Verifier};
