#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod clock;
mod identity;
mod secret;

pub mod wechat;

pub mod session;

pub use clock::{Clock, ManualClock, SystemClock};
pub use identity::{AppId, IdentityError, OpenId, Sid, UnionId};
pub use secret::{AppSecret, CodeError, LoginCode, SessionKey};
