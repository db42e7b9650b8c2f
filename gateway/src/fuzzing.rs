//! Everything that reads what a stranger or an operator wrote, and what must hold of every input: functions over bytes that
//! panic where it does not. For the tests and for `tests/fuzz`; no API.

use std::sync::Arc;

use auth_core::revocation::Revocations;
use auth_core::{Clock, SystemClock};

use crate::config::fuzzing::load;
use crate::snapshot::{key_ring, verifier};
use crate::steps::inject::Injector;
use crate::steps::route::Router;

pub use crate::front::fuzzing::front;
pub use crate::steps::inject::fuzzing::headers;
pub use crate::target::fuzzing::target;

/// Reads a config file, which must not show a secret whatever it is, see `config::fuzzing`. What is accepted can be run: keys, routes
/// and header names build without a mistake that the check should have named.
pub fn config(data: &[u8]) {
    for checked in load(data) {
        let keys = key_ring(&checked.token).expect("an accepted key can be read");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (token, session, apps) = (&checked.token, &checked.session, &checked.apps);
        verifier(token, session, &keys, apps, &Arc::new(Revocations::default()), &clock);
        Router::new(&checked.routes, &checked.endpoints);
        Injector::new(&checked.identity).expect("accepted names can be set");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = fn(&[u8]);

    #[test]
    fn every_seed_is_read_as_it_must_be() {
        let targets: [(&str, Read); 4] =
            [("config", config), ("front", front), ("headers", headers), ("target", target)];
        for (name, read) in targets {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/").to_owned() + name;
            let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
            assert!(seeds.len() >= 5, "{name} has {} seeds", seeds.len());
            for seed in seeds {
                println!("{}", seed.display());
                read(&std::fs::read(&seed).unwrap());
            }
        }
    }
}
