//! Secrets: where they come from, which are refused, and that none is ever shown.

use super::{Vault, completed, load_with, told};
use crate::config::Mode;

const SHOP: &str = "f3c1a97be0d2456889ab10c7d35e6f42";

/// What is said about this AppSecret.
fn app_secret(text: &str) -> Vec<String> {
    let mut vault = Vault::full();
    vault.env.insert("SHOP_SECRET", text.into());
    load_with(&completed(""), Mode::Normal, &vault).map_or_else(|mistakes| told(&mistakes), |_| Vec::new())
}

/// What is said about this key.
fn key(text: &str) -> Vec<String> {
    let vault = Vault::full().with_file("/etc/wxgate/key", text, 0o600);
    let text = completed("[token]\nkeys = [{ kid = 'a', file = 'key' }]\n");
    load_with(&text, Mode::Normal, &vault).map_or_else(|mistakes| told(&mistakes), |_| Vec::new())
}

#[track_caller]
fn is_refused(told: &[String], why: &str) {
    assert!(matches!(told, [one] if one.contains(why)), "{told:?} should say {why:?}");
}

#[test]
fn an_app_secret_that_is_none_is_refused() {
    for placeholder in [
        "changeme",
        "secret",
        "your-app-secret",
        "<AppSecret>",
        "00000000000000000000000000000000",
        "0123456789abcdef0123456789abcdef",
    ] {
        is_refused(&app_secret(placeholder), "app.shop.secret: the AppSecret is");
    }
    for empty in ["", "\n", "  \n"] {
        is_refused(&app_secret(empty), "app.shop.secret: the secret is empty");
    }
    is_refused(&app_secret(&format!("{SHOP} ")), "holds spaces");
    assert!(app_secret(&format!("{SHOP}\r\n")).is_empty());
}

#[test]
fn a_secret_must_be_where_the_file_says() {
    let said = |secret: &str, vault: &Vault| {
        let text = completed(&format!("[app.shop]\nappid = 'wx1111111111111111'\nsecret = {secret}\n"));
        load_with(&text, Mode::Normal, vault).map_or_else(|mistakes| told(&mistakes), |_| Vec::new())
    };
    let vault = Vault::full()
        .with_file("/etc/wxgate/secrets/shop", SHOP, 0o600)
        .with_file("/empty", "\n", 0o600)
        .with_file("/large", &"x".repeat((64 << 10) + 1), 0o600);
    assert!(said("{ file = 'secrets/shop' }", &vault).is_empty(), "relative to the main file");
    is_refused(&said("{ env = 'GONE' }", &vault), "the environment variable `GONE` is not set");
    is_refused(&said("{ file = '/gone' }", &vault), "cannot read /gone");
    is_refused(&said("{ file = '/empty' }", &vault), "the secret is empty");
    is_refused(&said("{ file = '/large' }", &vault), "is larger than 64 KiB");
    is_refused(&said("{}", &vault), "name exactly one place");
    is_refused(&said("{ env = 'A', file = 'b' }", &vault), "name exactly one place");
    is_refused(&said("{ evn = 'A' }", &vault), "app.shop.secret.evn: unknown key");
    is_refused(&said("'f3c1a97be0d2456889ab10c7d35e6f42'", &vault), "is accepted under `wxgate dev` only");
    is_refused(&said("{ env = 'f3c1a97be0d2456889ab10c7d35e6f42' }", &vault), "takes the name of a variable");
    is_refused(&said("5", &vault), "expected a secret such as");
}

#[test]
fn a_file_that_others_can_read_is_a_warning() {
    let text = completed("[token]\nkeys = [{ kid = 'a', file = '/run/secrets/key' }]\n");
    let vault = |mode| Vault::full().with_file("/run/secrets/key", "q7Jm0m8YQ4yqk0Pq3mQ5tq0m0Z9S7c2X", mode);
    let warnings = |mode| load_with(&text, Mode::Normal, &vault(mode)).unwrap().warnings;
    assert!(warnings(0o600).is_empty() && warnings(0o400).is_empty());
    for mode in [0o644, 0o640, 0o604] {
        let said = warnings(mode);
        assert!(matches!(&said[..], [one] if one.contains("can be read by other users")), "{said:?}");
    }
}

#[test]
fn a_weak_key_is_refused() {
    is_refused(&key(&"k".repeat(31)), "an HMAC secret needs 32 bytes or more, this one has 31");
    is_refused(&key(&"k".repeat(32)), "the key is a repeated pattern");
    is_refused(&key("abcd1234abcd1234abcd1234abcd1234abcd"), "the key is a repeated pattern");
    is_refused(&key("changeme-changeme-please-changeme-now"), "the key is a placeholder");
    is_refused(&key("a-string-secret-at-least-256-bits-long"), "the key is a placeholder");
    is_refused(&key("abcdefghijklmnopqrstuvwxyz0123456789"), "the key is a sequence");
    is_refused(
        &key("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
        "a public key cannot sign",
    );
    is_refused(
        &key(&format!("ssh-ed25519 {}", "AAAAC3NzaC1lZDI1NTE5AAAAIG".repeat(2))),
        "an SSH key is not accepted",
    );
    for hex in [SHOP, &format!(" {SHOP}{}", &SHOP[1..])] {
        is_refused(&key(hex), "an HMAC secret in hex needs 64 digits (256 bits) or more");
    }
    assert!(key(&format!("{SHOP}09d2f4b6c8e1a35779bd0e2c46f8a1b3")).is_empty());
    assert!(key("Zt8rV0sQ2nYx5Lk9WmB3cJ7dHf1gPa4e\n").is_empty());
}

#[test]
fn the_secrets_of_the_development_config_are_known() {
    let text = include_str!("../../../../config/dev.toml");
    let quoted = |line: &str| line.rsplit('"').nth(1).map(str::to_owned);
    let secrets: Vec<_> =
        text.lines().filter(|line| line.contains("secret = \"")).filter_map(quoted).collect();
    assert!(secrets.len() >= 3, "{secrets:?}");
    for secret in secrets {
        assert_eq!(app_secret(&secret).len(), 1, "{secret} passed as an AppSecret");
        assert_eq!(key(&secret).len(), 1, "{secret} passed as a key");
    }
}

#[test]
fn under_dev_a_secret_may_stand_in_the_file() {
    let text = completed(
        "[token]\nkeys = [{ kid = 'a', secret = 'changeme-changeme-changeme-changeme' }]\n[app.shop]\nappid = 'wx1111111111111111'\nsecret = 'secret'\n",
    );
    assert_eq!(load_with(&text, Mode::Dev, &Vault::full()).unwrap().apps[0].wechat.secret.expose(), "secret");
    assert_eq!(load_with(&text, Mode::Normal, &Vault::full()).unwrap_err().list.len(), 2);
    let short = completed("[token]\nkeys = [{ kid = 'a', secret = 'short' }]\n");
    is_refused(&told(&load_with(&short, Mode::Dev, &Vault::full()).unwrap_err()), "needs 32 bytes");
    let jwk =
        completed("[token]\nkeys = [{ kid = 'a', secret = '{ a JWK, under dev too, is no secret }' }]\n");
    is_refused(&told(&load_with(&jwk, Mode::Dev, &Vault::full()).unwrap_err()), "a JWK is not accepted");
}

/// Files that hold a plain secret, each with some mistake near it. Whatever is wrong, it is never shown.
#[test]
fn no_secret_is_ever_shown() {
    let app = |lines: &str| format!("[app.shop]\n{lines}\n");
    let texts = [
        app(&format!("appid = 'x'\nsecret = '{SHOP}'")),
        app(&format!("secret = '{SHOP}")),
        app(&format!("secret = {SHOP}")),
        app(&format!("secret {SHOP}")),
        app(&format!("secert = '{SHOP}")),
        app(&format!("secert '{SHOP}'")),
        format!("app.shop.secert = '{SHOP}\n"),
        app(&format!("secret = \"\"\"\n\\q{SHOP}\n\"\"\"")),
        app(&format!("secret = ['{SHOP}']")),
        app(&format!("secret = {{ env = '{SHOP}' }}")),
        app(&format!("secret = {{ file = '{SHOP}' }}")),
        app(&format!("secret = {{ plain = '{SHOP}' }}")),
        app(&format!("secert = '{SHOP}'")),
        app(&format!("app_secret = '{SHOP}'")),
        app(&format!("appid = 5\npassword = '{SHOP}'")),
        format!("app = {{ shop = {{ appid = 'x', secret = '{SHOP}' }} }}\n"),
        format!("app = {{ shop = {{ appid = 'x' secret = '{SHOP}' }} }}\n"),
        format!("[token]\nkeys = [{{ kid = 'a b', secret = '{SHOP}' }}]\n"),
        format!("[token]\nkeys = [{{ kid = 'a' secret = '{SHOP}' }}]\n"),
        format!("[token]\nkeys = ['{SHOP}']\n"),
        format!("[token]\nkey = '{SHOP}'\n"),
        format!("[token]\nkeys = [{{ kid = 'a', secret = \"\"\"\n{SHOP}\n\"\"\" }}\n\n[log]\nlevel =\n"),
        format!("[token]\nkeys = [{{ kid = 'a', secret = \"\"\"\n{SHOP}"),
        format!("[store]\nredis = 'redis://:{SHOP}@host'\n"),
        format!("[admin]\ntoken = '{SHOP}'\n"),
        format!("[admin]\ntoken = {SHOP}\n"),
        format!("[admin]\ntokne = '{SHOP}'\n"),
        format!("[admin]\ntokne '{SHOP}'\n"),
        format!("[admin]\ntoken = {{ env = '{SHOP}' }}\n"),
        format!("admin.tokne = '{SHOP}\n"),
        format!("admin = {{ tokne = '{SHOP}' }}\n"),
        format!("[admin.service.order]\nword = '{SHOP}'\n"),
        app(&format!("appid = '{SHOP}'\nsecret = {{ env = 'SHOP_SECRET' }}")),
        app(&format!("appid = \"{SHOP}")),
        app(&format!("appid = {SHOP}")),
        app(&format!("appid = 'wx' # {SHOP}")),
        app(&format!("{SHOP} = 1")),
        format!("[server]\nlisten = ['{SHOP}']\n"),
        format!("[wechat]\nbase_urls = ['https://{SHOP}@x']\n"),
        format!("[[route]]\npath = '{SHOP}'\nupstream = '{SHOP}'\n"),
        format!("[token]\nkeys = [{{ kid = '{SHOP}/', env = 'KEY' }}]\n"),
    ];
    for text in texts {
        for mode in [Mode::Normal, Mode::Dev] {
            let mistakes = load_with(&format!("version = 2\n{text}"), mode, &Vault::full()).unwrap_err();
            for shown in [mistakes.render(false), mistakes.render(true), format!("{mistakes:?}")] {
                assert!(!shown.contains(SHOP), "shown for\n{text}\n{shown}");
            }
            assert!(mistakes.list.len() > 1 && mistakes.to_string().contains("wxgate.toml:"), "{mistakes}");
        }
    }
}

#[test]
fn keys_in_base64_are_hidden_and_ordinary_lines_are_not() {
    let key = "q7Jm0m8YQ4yqk0/q3mQ5tq0m0Z9S7c2X+Zt8rV0sQ2nYx5Lk9WmB3cJ7dHf1gPa4";
    let shown = |text: &str| load_with(text, Mode::Normal, &Vault::full()).unwrap_err().to_string();
    let said = shown(&completed(&format!("[admin]\nlisten = '{key}=='\n")));
    assert!(said.contains("admin.listen: not an address") && !said.contains("q7Jm0m8Y"), "{said}");
    for (section, line) in [
        ("[app.shop]", "appid = 'wx1111111111111112x'"),
        ("[[route]]", "path = '/Shop/V1/Orders/Of/2026/{id}/Items//x'"),
        ("[wechat]", "base_urls = ['ftp://api.weixin.qq.com']"),
    ] {
        let said = shown(&format!("version = 1\n{section}\n{line}\n"));
        assert!(said.contains(line), "{line} is not in {said}");
    }
}

/// Of the private listener nothing is shown but its address, however a secret looks and whatever its key is called.
#[test]
fn a_credential_that_looks_like_words_is_hidden_all_the_same() {
    let words = "correct horse battery";
    for text in [
        format!("[admin]\ntokne = '{words}'\n"),
        format!("[admin]\nword = '{words}\n"),
        format!("[admin]\nword {words}\n"),
        format!("admin = {{ word = '{words}' }}\n"),
        format!("admin.word = '{words}\n"),
        format!("[admin.service.order]\nword = '{words}'\n"),
        format!("[admin.service.order]\nword {words}\n"),
    ] {
        let mistakes = load_with(&completed(&text), Mode::Normal, &Vault::full()).unwrap_err();
        for shown in [mistakes.render(false), mistakes.render(true)] {
            assert!(!shown.contains(words), "shown for\n{text}\n{shown}");
        }
    }
    let told = load_with(&completed("[admin]\nlisten = 'here'\n"), Mode::Normal, &Vault::full()).unwrap_err();
    assert!(told.to_string().contains("listen = 'here'"), "{told}");
}

#[test]
fn a_warning_shows_no_secret() {
    let text =
        completed(&format!("[upstream.goods]\nservers = ['g:1']\n[upstream.{SHOP}]\nservers = ['l:1']\n"));
    let warnings = load_with(&text, Mode::Normal, &Vault::full()).unwrap().warnings;
    assert!(matches!(&warnings[..], [one] if !one.contains(SHOP)), "{warnings:?}");
}

#[test]
fn a_checked_config_prints_no_secret() {
    let text = completed("[app.shop]\nappid = 'wx1111111111111111'\nsecret = { env = 'SHOP_SECRET' }\n");
    let printed = format!("{:?}", load_with(&text, Mode::Normal, &Vault::full()).unwrap());
    assert!(
        printed.contains("wx1111111111111111") && !printed.contains(SHOP) && !printed.contains("Zt8rV0"),
        "{printed}"
    );
}

/// What is said about this credential of the operator.
fn credential(text: &str, mode: Mode) -> Vec<String> {
    let mut vault = Vault::full();
    vault.env.insert("ADMIN_TOKEN", text.into());
    let text = completed("[admin]\ntoken = { env = 'ADMIN_TOKEN' }\n");
    load_with(&text, mode, &vault).map_or_else(|mistakes| told(&mistakes), |_| Vec::new())
}

#[test]
fn a_credential_is_long_random_and_fits_a_header() {
    let good = "uB4sX8kQz2WvJc6Tn9RyLm3Hd7PgFa5e";
    for strong in [good, &format!("{good}\n"), &format!("{good}-._~+/=="), SHOP] {
        assert!(credential(strong, Mode::Normal).is_empty(), "{strong}");
    }
    is_refused(&credential(&good[1..], Mode::Normal), "a token needs 32 characters or more, this one has 31");
    is_refused(&credential(&good[1..], Mode::Dev), "a token needs 32 characters or more");
    is_refused(&credential("change-me-change-me-now-please-32x", Mode::Normal), "the token is a placeholder");
    is_refused(&credential(&"ab".repeat(16), Mode::Normal), "the token is a repeated pattern");
    for wrong in [" ", "\t", "\u{e9}", "\"", ",", ":", "\r\nX: 1"] {
        is_refused(
            &credential(&format!("{good}{wrong}x"), Mode::Normal),
            "holds characters that no bearer token",
        );
    }
    is_refused(&credential("", Mode::Normal), "admin.token: the secret is empty");
    is_refused(&credential("Zt8rV0sQ2nYx5Lk9WmB3cJ7dHf1gPa4e", Mode::Normal), "a key that signs tokens");
}
