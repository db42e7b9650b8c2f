//! The fuzz targets link, and each reads its seeds as it must: as by hand, but once, and with no coverage to be guided by.

use std::path::Path;
use std::process::Command;

const TARGETS: [(&str, &str); 6] = [
    ("config", env!("CARGO_BIN_EXE_fuzz_config")),
    ("front", env!("CARGO_BIN_EXE_fuzz_front")),
    ("headers", env!("CARGO_BIN_EXE_fuzz_headers")),
    ("target", env!("CARGO_BIN_EXE_fuzz_target")),
    ("token", env!("CARGO_BIN_EXE_fuzz_token")),
    ("wechat", env!("CARGO_BIN_EXE_fuzz_wechat")),
];

#[test]
fn every_target_reads_its_seeds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    assert_eq!(std::fs::read_dir(&corpus).unwrap().count(), TARGETS.len());
    for (name, program) in TARGETS {
        let seeds = std::fs::read_dir(corpus.join(name)).unwrap().map(|seed| seed.unwrap().path());
        let ended = Command::new(program).args(seeds).output().unwrap();
        assert!(ended.status.success(), "{name}: {}", String::from_utf8_lossy(&ended.stderr));
        let executed = String::from_utf8_lossy(&ended.stderr).matches("Executed ").count();
        assert!(executed >= 5, "{name} read {executed} seeds");
    }
}
