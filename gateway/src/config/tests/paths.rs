//! The folder of the session store, which may come with the machine.

use super::{Vault, completed, load, load_with};
use crate::config::Mode;

const KEYS: &str = "keys = [{ kid = \"a\", env = \"STORE_KEY\" }]\n";

fn warnings(path: &std::path::Path) -> Vec<String> {
    load(&format!("[store]\npath = {path:?}\n{KEYS}")).unwrap().warnings
}

#[test]
fn a_store_without_its_folder_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (there, gone) = (folder.path().join("x.redb"), folder.path().join("gone/x.redb"));
    assert_eq!(warnings(&there), [""; 0]);
    let said = warnings(&gone);
    let expected =
        format!("/etc/wxgate/wxgate.toml:3: store.path: there is no folder {}/gone", folder.path().display());
    assert!(matches!(&said[..], [one] if one.starts_with(&expected)), "{said:?}");
    // What is a file cannot hold one.
    std::fs::write(&there, "").unwrap();
    assert_eq!(warnings(&there.join("x.redb")).len(), 1);
}

#[test]
fn a_store_beside_the_config_has_its_folder() {
    let text = completed(&format!("[store]\nkind = \"embedded\"\n{KEYS}"));
    assert_eq!(load_with(&text, Mode::Normal, &Vault::full()).unwrap().warnings, [""; 0]);
}
