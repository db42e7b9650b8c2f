//! Everything that reads what a stranger or WeChat wrote, and what must hold of every input: functions over bytes that panic
//! where it does not. For the tests and for `tests/fuzz`; no API.

pub use crate::verify::fuzzing::token;
pub use crate::wechat::fuzzing::wechat;

#[cfg(test)]
mod tests {
    use super::*;

    type Read = fn(&[u8]);

    #[test]
    fn every_seed_is_read_as_it_must_be() {
        let targets: [(&str, Read); 2] = [("token", token), ("wechat", wechat)];
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
