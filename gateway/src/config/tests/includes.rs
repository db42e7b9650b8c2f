//! One config in several files.

use std::path::Path;

use super::{Vault, completed, told};
use crate::config::{Checked, Mistakes, Mode, load_file};

/// A folder with these files; the first is the main one.
fn load(files: &[(&str, &str)]) -> Result<Checked, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let main = folder.path().join(files[0].0);
    load_file(&main, Mode::Normal, &Vault::full()).0
}

fn main_with(lines: &str) -> (&'static str, String) {
    ("wxgate.toml", completed(&format!("version = 1\n{lines}\n")))
}

#[test]
fn included_files_merge_by_key_and_routes_are_joined_in_order() {
    let (name, main) = main_with("include = ['conf.d/*.toml']");
    let checked = load(&[
        (name, &main),
        ("conf.d/20.toml", "[[route]]\npath = '/two'\nupstream = 'two'\n[upstream.two]\nservers = ['t:1']\n[server]\nworkers = 3\n"),
        ("conf.d/10.toml", "[[route]]\npath = '/one'\nupstream = 'goods'\n"),
        ("conf.d/.hidden.toml", "nonsense"),
        ("conf.d/other.txt", "nonsense"),
    ])
    .unwrap();
    let paths: Vec<_> = checked.routes.iter().map(|route| route.path.text.to_string()).collect();
    assert_eq!(paths, ["/*", "/one", "/two"]);
    assert_eq!(checked.server.workers, 3);
}

#[test]
fn a_mistake_names_the_included_file_and_its_line() {
    let (name, main) = main_with("include = ['a.toml', 'b.toml']");
    let mistakes = load(&[
        (name, &main),
        ("a.toml", "[log]\n\nlevl = 'x'\n"),
        ("b.toml", "# b\n[admin]\nlisten = 'y'\n"),
    ])
    .unwrap_err();
    assert_eq!(told(&mistakes).len(), 2, "{mistakes}");
    let shown = mistakes.to_string();
    assert!(shown.contains("a.toml:3:1\n") && shown.contains("b.toml:3:10\n"), "{shown}");
}

#[test]
fn the_same_key_in_two_files_names_both_places() {
    let (name, main) = main_with("include = ['a.toml']\n[log]\nlevel = 'info'");
    let mistakes = load(&[(name, &main), ("a.toml", "[log]\nlevel = 'warn'\n")]).unwrap_err();
    assert_eq!(told(&mistakes), ["2 log.level: set in two files"]);
    let shown = mistakes.to_string();
    assert!(shown.contains("a.toml:2:1\n") && shown.contains("wxgate.toml:4:1\n"), "{shown}");
}

#[test]
fn only_routes_are_joined() {
    let (name, main) = main_with("include = ['a.toml']\n[server]\nlisten = ['0.0.0.0:80']");
    let mistakes = load(&[(name, &main), ("a.toml", "[server]\nlisten = ['0.0.0.0:81']\n")]).unwrap_err();
    assert_eq!(told(&mistakes), ["2 server.listen: set in two files"]);
}

#[test]
fn an_include_stays_below_its_folder() {
    for (include, why) in [
        ("../x.toml", "must be a relative path without `..`"),
        ("/etc/passwd", "must be a relative path without `..`"),
        ("a/../../x", "must be a relative path without `..`"),
        ("", "must be a relative path without `..`"),
        (".", "must name files"),
        ("*/x.toml", "`*` may stand in the last part"),
        ("missing.toml", "cannot read"),
        ("folder", "cannot read"),
    ] {
        let (name, main) = main_with(&format!("include = ['{include}']"));
        let mistakes = load(&[(name, &main), ("folder/x", "")]).unwrap_err();
        let [told] = &told(&mistakes)[..] else { panic!("{include}: {mistakes}") };
        assert!(told.starts_with("2 include: ") && told.contains(why), "{include}: {told}");
    }
}

#[test]
fn a_pattern_may_match_nothing_and_never_the_main_file() {
    let (name, main) = main_with("include = ['none/*.toml', '*.toml']");
    load(&[(name, &main)]).unwrap();
}

#[test]
fn an_included_file_may_not_include() {
    let (name, main) = main_with("include = ['a.toml']");
    let mistakes = load(&[(name, &main), ("a.toml", "\ninclude = ['b.toml']\n")]).unwrap_err();
    assert_eq!(told(&mistakes), ["2 include: only the main file may include others"]);
}

#[test]
fn a_file_that_cannot_be_read_is_one_mistake() {
    let read = |path: &Path| load_file(path, Mode::Normal, &Vault::full()).0.unwrap_err();
    let missing = read(Path::new("/nowhere/wxgate.toml"));
    assert!(missing.to_string().contains("cannot read /nowhere/wxgate.toml"), "{missing}");
    assert_eq!(missing.list.len(), 1, "{missing}");

    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("wxgate.toml");
    std::fs::write(&main, "#".repeat((1 << 20) + 1)).unwrap();
    assert!(read(&main).to_string().contains("is larger than 1 MiB"));
    std::fs::write(&main, b"version = 1\n\xff\n").unwrap();
    let mistakes = read(&main);
    assert!(mistakes.to_string().contains("is not UTF-8: line 2"), "{mistakes}");
    assert_eq!(mistakes.list.len(), 1, "{mistakes}");
}

#[test]
fn a_config_loads_from_the_disk_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("wxgate.toml");
    std::fs::write(folder.path().join("key"), "Zt8rV0sQ2nYx5Lk9WmB3cJ7dHf1gPa4e\n").unwrap();
    std::fs::write(folder.path().join("store.key"), "9Zp6wq3mXn1YvT0bGk8sJd5hLr2cFa7eQu4iWo9xEyE=\n")
        .unwrap();
    let text = "version = 1\nendpoints.login = ''\ntoken.keys = [{ kid = 'a', file = 'key' }]\n\
                store.keys = [{ kid = 'a', file = 'store.key' }]\n";
    std::fs::write(&main, text).unwrap();
    let checked = crate::config::load(&main, Mode::Normal).unwrap();
    let crate::config::Store::Embedded { path, .. } = checked.store else { panic!("{:?}", checked.store) };
    assert_eq!(path, folder.path().join("wxgate.redb"), "beside the config file");
}
