//! What nodes that share a store tell each other.

use aws_lc_rs::digest::{Context, SHA256};

use super::Ended;
use crate::{AppId, LoginCode, Sid};

/// What a shared store tells a node about the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A session was ended.
    Ended(Ended),
    /// Ends may have been missed, as after a lost connection: they are to be read from the store.
    Missed,
}

/// Whose a login code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// This node's: it may ask WeChat.
    Yours,
    /// Another node is at it.
    Taken,
    /// It led to this session.
    Made(Sid),
}

/// Names a login code of an app where the code itself must not stand: it is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodeDigest([u8; 32]);

impl CodeDigest {
    /// The digest of `code`. Two apps may hand out the same code: each has its own.
    pub fn of(app: &AppId, code: &LoginCode) -> Self {
        let mut context = Context::new(&SHA256);
        for part in [app.as_str(), code.expose()] {
            // The length first: no other pair is the same bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }

    /// The digest as bytes: the key under which stores keep a claim.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_names_one_code_of_one_app_and_never_changes() {
        let digest =
            |app, code| CodeDigest::of(&AppId::parse(app).unwrap(), &LoginCode::parse(code).unwrap()).0;
        let (app, other) = ("wx1111111111111111", "wx2222222222222222");
        assert_ne!(digest(app, "code-alice"), digest(other, "code-alice"));
        assert_ne!(digest(app, "code-alice"), digest(app, "code-bob-1"));
        // Nodes of different versions share a store.
        let hex: String = digest(app, "code-alice").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "a1b0a93254fc186addd5e6e6a610df8d6013fe892c178bd5fd4ba783c324fb6c");
    }
}
