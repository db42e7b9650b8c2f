//! The public halves as a JSON Web Key Set (RFC 7517 §5).

use jsonwebtoken::jwk::{JwkSet, KeyOperations, PublicKeyUse};

use super::KeyRing;

impl KeyRing {
    /// What others need to verify tokens themselves. HMAC keys have no public half and are left out.
    pub fn jwks(&self) -> JwkSet {
        let keys = self.iter().filter_map(|key| {
            let mut jwk = key.public.clone()?;
            jwk.common.key_id = Some(key.kid.clone());
            jwk.common.public_key_use = Some(PublicKeyUse::Signature);
            jwk.common.key_operations = Some(vec![KeyOperations::Verify]);
            Some(jwk)
        });
        JwkSet { keys: keys.collect() }
    }
}
