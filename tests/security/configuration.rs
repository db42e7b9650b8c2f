//! Group J: what a wrong config comes to. A gateway that cannot be sure of its settings does not start.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::case;
use crate::config_files::{good, said, said_in};
use crate::harness::{Config, Gateway, MERCHANT, Recorder, SHOP, exchange, gateway, root};

/// The exit code of a config that is wrong.
const WRONG: i32 = 78;

#[test]
fn what_everybody_knows_is_no_secret() {
    let _case = case(
        "J01",
        "a shipped config as it is, a secret from documentation, a weak, empty or unset one: nothing starts, the key \
         in the file is named, the value is not shown",
    );
    for file in ["production.toml", "wxgate.toml", "dev.toml"] {
        let text = std::fs::read_to_string(root().join("config").join(file)).unwrap();
        let (status, text) = said("run", &text);
        assert_eq!(status, WRONG, "{file}: {text}");
        assert!(text.contains("secret"), "{file}: {text}");
    }
    let dev = std::fs::read_to_string(root().join("config/dev.toml")).unwrap();
    let shipped = dev.lines().find_map(|line| line.split_once("secret = \"")?.1.split('"').next()).unwrap();
    for known in [shipped, "changeme", "secret", "your-app-secret", "00000000000000000000000000000000"] {
        for (place, line) in [
            ("app.shop.secret", "secret = { env = \"WX_SHOP_SECRET\" }"),
            ("token.keys", "env = \"WXGATE_KEY\""),
        ] {
            let folder = tempfile::tempdir().unwrap();
            write_private(&folder.path().join("known"), known);
            let from_file = line.replace("env = \"WX_SHOP_SECRET\"", "file = \"known\"");
            let text = good().replace(line, &from_file.replace("env = \"WXGATE_KEY\"", "file = \"known\""));
            std::fs::write(folder.path().join("wxgate.toml"), text).unwrap();
            let (status, said) = said_in("run", folder.path());
            assert_eq!(status, WRONG, "{place} {known}: {said}");
            assert!(said.contains(place), "{place} {known}: {said}");
            let shown = said.replace(place, "").replace("app.shop.secret", "").replace("AppSecret", "");
            let shown = shown.replace("secret = ", "").replace("HMAC secret", "").replace("a secret", "");
            assert!(known.len() < 8 || !shown.contains(known), "{place} shows {known}: {said}");
        }
    }
    for (from, to, named) in [
        ("env = \"WX_SHOP_SECRET\"", "env = \"WX_SECRET_THAT_NOBODY_SET\"", "app.shop.secret"),
        ("env = \"WX_SHOP_SECRET\"", "file = \"/dev/null\"", "app.shop.secret"),
        ("{ env = \"WX_SHOP_SECRET\" }", "\"f3c1a97be0d2456889ab10c7d35e6f42\"", "app.shop.secret"),
        ("env = \"WXGATE_KEY\"", "env = \"WX_KEY_THAT_NOBODY_SET\"", "token.keys[0]"),
        ("env = \"WXGATE_KEY\"", "file = \"/dev/null\"", "token.keys[0]"),
        ("[{ kid = \"a\", env = \"WXGATE_KEY\" }]", "[]", "token.keys"),
    ] {
        let (status, said) = said("run", &good().replace(from, to));
        assert_eq!(status, WRONG, "{to}: {said}");
        assert!(said.contains(&format!("error: {named}")) && !said.contains("f3c1a97b"), "{to}: {said}");
    }
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn what_cannot_be_resolved_is_never_taken_for_no_authentication() {
    let _case = case(
        "J04",
        "a missing key file, a broken PEM, an unknown policy, app, upstream or section is a mistake with its line: \
         nothing starts half-configured",
    );
    for (from, to, named) in [
        ("env = \"WXGATE_KEY\"", "file = \"/no/such/key\"", "token.keys[0]"),
        ("env = \"WXGATE_KEY\"", "file = \"broken.pem\"", "token.keys[0]"),
        ("env = \"WXGATE_KEY\"", "", "token.keys[0]"),
        ("upstream = \"order\"\n", "upstream = \"order\"\nauth = \"requird\"\n", "route[0].auth"),
        ("upstream = \"order\"\n", "upstream = \"order\"\nauth = \"\"\n", "route[0].auth"),
        ("upstream = \"order\"\n", "upstream = \"order\"\nauth = false\n", "route[0].auth"),
        ("upstream = \"order\"\n", "upstream = \"order\"\nauht = \"none\"\n", "route[0].auht"),
        ("upstream = \"order\"\n", "upstream = \"order\"\napps = [\"nobody\"]\n", "route[0].apps"),
        ("upstream = \"order\"\n", "upstream = \"oder\"\n", "route[0].upstream"),
        ("[token]\n", "[tokens]\n", "tokens"),
        ("[[route]]", "[[routes]]", "routes"),
        ("version = 1", "version = 2", "version"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_private(
            &folder.path().join("broken.pem"),
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI\n-----END PRIVATE KEY-----\n",
        );
        std::fs::write(folder.path().join("wxgate.toml"), good().replacen(from, to, 1)).unwrap();
        for command in ["check", "run"] {
            let (status, said) = said_in(command, folder.path());
            assert_eq!(status, WRONG, "{to:?}: {said}");
            assert!(said.contains(&format!("error: {named}")), "{to:?}: {said}");
            assert!(said.contains("wxgate.toml:") && said.contains("nothing was started"), "{to:?}: {said}");
        }
    }
}

#[test]
fn a_config_of_any_shape_is_good_or_says_where_it_is_not() {
    let _case = case(
        "J10",
        "unknown keys, wrong types, duplicates, routes that tie or match nothing, a byte order mark, endless nesting \
         and 10 MB of text: taken, or refused with file and line",
    );
    let route = "[[route]]\npath = \"/order/*\"\nupstream = \"order\"\n";
    for (more, named) in [
        ("[server2]\n".to_owned(), "error: server2: unknown key"),
        ("[log]\nlevle = \"info\"\n".to_owned(), "error: log.levle: unknown key"),
        ("[log]\naccess = \"yes\"\n".to_owned(), "error: log.access"),
        ("[log]\naccess = true\naccess = false\n".to_owned(), "duplicate key"),
        ("[token]\n".to_owned(), "error: "),
        (route.to_owned(), "error: route[1].path"),
        (route.replace("order/*", "login"), "error: route[1].path"),
        (
            format!("{route}hosts = []\n").replace("/order", "/x"),
            "error: route[1].hosts: an empty list matches no",
        ),
        (
            format!("{route}methods = []\n").replace("/order", "/x"),
            "error: route[1].methods: an empty list matches",
        ),
        ("[upstream.none]\nservers = []\n".to_owned(), "error: upstream.none.servers"),
        (format!("# {}\n", "x".repeat(10_000_000)), "is larger than 1 MiB"),
        (format!("[log]\nlevel = {}\n", "[".repeat(100_000)), "recursion"),
        (format!("[log]\n{}level = 1\n", "a.".repeat(100_000)), "error: "),
        ("\u{0}\u{1b}[2J".to_owned(), "error: "),
    ] {
        let (status, said) = said("check", &format!("{}{more}", good()));
        let start = &more[..more.len().min(60)];
        assert_eq!(status, WRONG, "{start:?}: {said}");
        assert!(said.contains(named) && said.contains("wxgate.toml:"), "{start:?}: {said}");
        assert!(said.len() < 20_000 && !said.contains(['\0', '\u{1b}']), "{start:?}: {} bytes", said.len());
    }
    for text in [format!("\u{feff}{}", good()), good().replace('\n', "\r\n")] {
        let (status, said) = said("check", &text);
        assert_eq!(status, 0, "{said}");
    }
}

#[tokio::test]
async fn nothing_said_means_a_token_and_an_empty_list_means_nobody() {
    let _case = case(
        "J11",
        "a route without `auth` asks for a token; an empty list of apps lets nobody pass, not everybody",
    );
    let recorder = Recorder::start().await;
    let routes = "[[route]]\npath = \"/said-nothing\"\nupstream = \"service\"\n\
                  [[route]]\npath = \"/nobody\"\nupstream = \"service\"\napps = []\n\
                  [[route]]\npath = \"/nobody-optional\"\nupstream = \"service\"\nauth = \"optional\"\napps = []\n";
    let gateway = Gateway::start(Config::new(recorder.port, routes)).await;
    assert_eq!(gateway.get("/said-nothing").send().await.unwrap().status(), 401);
    for app in [&SHOP, &MERCHANT] {
        let token = gateway.log_in(app, "alice").await;
        for path in ["/nobody", "/nobody-optional"] {
            assert_eq!(gateway.get_as(&token, path).await.status(), 403, "{path} {}", app.name);
        }
    }
    assert!(recorder.seen().is_empty());
}

#[tokio::test]
async fn templates_are_text() {
    let _case = case(
        "J12",
        "`${NAME}` and its kin are text wherever they stand, in a request or in the config: nothing expands them; where a \
         secret should be they are refused",
    );
    let recorder = Recorder::start().await;
    let text = "${SECRET_shop}{{env.SECRET_shop}}$(id)%{SECRET_shop}$HOME";
    let config =
        Config::new(recorder.port, gateway::ROUTES).with(&format!("[identity]\nenv_value = \"{text}\"\n"));
    let gateway = Gateway::start(config).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    let request = format!(
        "POST /api/x?q=$%7BSECRET_shop%7D HTTP/1.1\r\nHost: gw.test\r\nX-A: {text}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\n\r\n{text}",
        text.len()
    );
    let answer = exchange(gateway.port, request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = recorder.last();
    assert_eq!((seen.one("x-a"), seen.one("x-wx-env")), (text, text));
    assert_eq!((seen.target(), &*seen.body), ("/api/x?q=$%7BSECRET_shop%7D", text.as_bytes()));
    // As a secret it was meant to be filled in by somebody, and was not.
    let folder = tempfile::tempdir().unwrap();
    write_private(&folder.path().join("key"), "${WXGATE_KEY}-Zt8rV0sQ2nYx5Lk9WmB3cJ7dHf1g");
    let text = good().replace("env = \"WXGATE_KEY\"", "file = \"key\"");
    std::fs::write(folder.path().join("wxgate.toml"), text).unwrap();
    let (status, said) = said_in("run", folder.path());
    assert!(status == WRONG && said.contains("error: token.keys[0]: the key is a placeholder"), "{said}");
}

#[test]
fn an_include_stays_below_the_main_file() {
    let _case = case(
        "J13",
        "an include with `..`, an absolute path or a pattern for folders is refused, not resolved",
    );
    // Each of them is there, and would be good.
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("etc");
    std::fs::create_dir_all(folder.join("conf.d")).unwrap();
    for file in ["x.toml", "etc/conf.d/x.toml"] {
        std::fs::write(outside.path().join(file), "[log]\naccess = true\n").unwrap();
    }
    let absolute = outside.path().join("x.toml").display().to_string();
    for (include, wanted) in [
        ("conf.d/x.toml", 0),
        ("conf.d/*.toml", 0),
        ("../x.toml", WRONG),
        ("conf.d/../../x.toml", WRONG),
        ("conf.d/../conf.d/x.toml", WRONG),
        ("../*.toml", WRONG),
        ("*/x.toml", WRONG),
        (&absolute, WRONG),
    ] {
        std::fs::write(folder.join("wxgate.toml"), format!("include = [\"{include}\"]\n{}", good())).unwrap();
        let (status, said) = said_in("check", &folder);
        assert_eq!(status, wanted, "{include}: {said}");
        assert!(
            status == 0 || said.contains("error: include") && said.contains("wxgate.toml:1"),
            "{include}: {said}"
        );
    }
}

#[test]
fn a_secret_of_the_wrong_kind_is_refused() {
    let _case = case(
        "J14",
        "a public key, a certificate, a JWK or an RSA key where a signing key belongs, a PEM where an AppSecret belongs: \
         refused; a secret's file that others can read: a warning that names it",
    );
    let pem = |label: &str| {
        format!(
            "-----BEGIN {label}-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END {label}-----\n"
        )
    };
    let jwk = r#"{"kty":"oct","k":"M25ENHg3Y1cwcmtBYkxlUTl6UDJtVnRZNnVIczhKZktnUjVvTGkxRWFYdw"}"#;
    for (line, named) in [
        ("env = \"WXGATE_KEY\"", "error: token.keys[0]"),
        ("env = \"WX_SHOP_SECRET\"", "error: app.shop.secret"),
    ] {
        for wrong in [
            pem("PUBLIC KEY"),
            pem("CERTIFICATE"),
            pem("RSA PRIVATE KEY"),
            pem("PRIVATE KEY"),
            jwk.to_owned(),
            format!("{{\"keys\":[{jwk}]}}"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            write_private(&folder.path().join("wrong"), &wrong);
            std::fs::write(folder.path().join("wxgate.toml"), good().replace(line, "file = \"wrong\""))
                .unwrap();
            let (status, said) = said_in("check", folder.path());
            assert_eq!(status, WRONG, "{wrong}: {said}");
            assert!(
                said.contains(named) && !said.contains("MCow") && !said.contains("M25E"),
                "{wrong}: {said}"
            );
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open-key");
    write_private(&path, gateway::KEY);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let text = good().replace("env = \"WXGATE_KEY\"", "file = \"open-key\"");
    std::fs::write(folder.path().join("wxgate.toml"), text).unwrap();
    let (status, said) = said_in("check", folder.path());
    assert!(status == 0 && said.contains("warning: ") && said.contains("open-key"), "{status} {said}");
}
