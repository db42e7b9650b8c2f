//! Who a user is in each app: derived from the user's name, so that the same name is the same user after a restart.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The user within one app: 28 characters that start with `o`.
pub(super) fn openid(appid: &str, user: &str) -> String {
    format!("o{}", &derived("openid", appid, user)[..27])
}

/// The user across the apps of one Open Platform account.
pub(super) fn unionid(open_platform: &str, user: &str) -> String {
    format!("o{}", &derived("unionid", open_platform, user)[..27])
}

/// A phone number for a user who was given none: `1380013` and four digits, the block that samples in China use.
pub(super) fn phone_number(user: &str) -> String {
    let sum = digest(&SHA256, format!("phone\0{user}").as_bytes());
    let tail = sum.as_ref().iter().take(4).fold(0_u32, |tail, byte| (tail << 8) | u32::from(*byte));
    format!("1380013{:04}", tail % 10_000)
}

/// 43 characters of base64url. The zero bytes keep the parts apart: no two triples give the same text.
fn derived(kind: &str, scope: &str, user: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, format!("{kind}\0{scope}\0{user}").as_bytes()))
}
