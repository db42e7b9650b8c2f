//! Every kind of mistake, shown in the file that makes it.

use auth_core::wechat::{WechatClient, WechatSettings};

use super::{Vault, completed, is_wrong_as_marked, load, load_with, told};
use crate::config::Mode;

/// The promise to the operator: one run names every mistake with its line.
#[test]
fn ten_mistakes_in_one_file_are_ten_mistakes_with_their_lines() {
    let text = r#"version = 2
[server]
listn = ["0.0.0.0:80"]
header_timeout = "10 seconds"
workers = "four"
trusted_proxies = ["0.0.0.0/0"]
[admin]
listen = "0.0.0.0:9090"
[token]
keys = [{ kid = "a", env = "NOT_SET" }]
[app.shop]
appid = "shop"
secret = { env = "SHOP_SECRET" }
[upstream.order]
servers = ["order:3000"]
[[route]]
path = "/order//list"
upstream = "order"
[[route]]
path = "/goods/*"
upstream = "oder"
[store]
kind = "memory"
"#;
    let mistakes = load_with(text, Mode::Normal, &Vault::full()).unwrap_err();
    let expected = [
        "1 version: this wxgate reads version 1 only",
        "3 server.listn: unknown key",
        "4 server.header_timeout: not a time",
        "5 server.workers: expected a whole number, found a text",
        "6 server.trusted_proxies[0]: this network is everybody",
        "8 admin.listen: the private listener must be on a loopback address",
        "10 token.keys[0]: the environment variable `NOT_SET` is not set",
        "12 app.shop.appid: not an appid",
        "17 route[0].path: an empty segment",
        "21 route[1].upstream: there is no `[upstream.oder]`",
    ];
    let found = told(&mistakes);
    assert_eq!(found.len(), 10, "{mistakes}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nshould start with\n{expected}");
    }
    let shown = mistakes.to_string();
    assert!(shown.ends_with("10 mistakes in /etc/wxgate/wxgate.toml; nothing was started\n"), "{shown}");
    for (line, column) in
        [(1, 11), (3, 1), (4, 18), (5, 11), (6, 20), (8, 10), (10, 9), (12, 9), (17, 8), (21, 12)]
    {
        assert!(
            shown.contains(&format!("/etc/wxgate/wxgate.toml:{line}:{column}\n")),
            "{line}:{column} in\n{shown}"
        );
    }
}

#[test]
fn a_mistake_is_shown_with_its_line_a_mark_and_help() {
    let mistakes = load_with(
        &completed("version = 1\n[server]\nlistn = [\"0.0.0.0:80\"]\n"),
        Mode::Normal,
        &Vault::full(),
    );
    let shown = mistakes.unwrap_err().to_string();
    let expected = "error: server.listn: unknown key\n --> /etc/wxgate/wxgate.toml:3:1\n  |\n3 | listn = [\"0.0.0.0:80\"]\n  | ^^^^^\n  |\n  = help: did you mean `listen`?\n\n1 mistake in /etc/wxgate/wxgate.toml; nothing was started\n";
    assert_eq!(shown, expected);
}

#[test]
fn texts_that_are_not_toml() {
    is_wrong_as_marked(
        "[server]\nlisten = [\"0.0.0.0:80\",\n[log] # <- : string values must be quoted\nlevel = \"info\"",
    );
    is_wrong_as_marked("[log]\naccess = true\naccess = false # <- : duplicate key");
    is_wrong_as_marked("[log]\naccess = # <- : string values must be quoted");
    is_wrong_as_marked("[token]\nkeys = [{ kid = \"a\", env = KEY }] # <- : string values must be quoted");
}

#[test]
fn a_slip_in_one_place_hides_no_mistake_in_another() {
    is_wrong_as_marked(
        "[log]\nlevel = info # <- : string values must be quoted\n[admin]\nlisten = \"here\" # <- admin.listen: not an address\n[upstram.x] # <- upstram: unknown key",
    );
    is_wrong_as_marked(
        "[log]\naccess = true\naccess = false # <- : duplicate key\n[[route]]\npath = \"/\"\nupstream = \"god\" # <- route[0].upstream: there is no",
    );
    is_wrong_as_marked(
        "[upstream.goods # <- : unclosed table\nservers = [\"goods:3000\"]\n[[route]]\npath = \"/\"\nupstream = \"goods\"",
    );
}

#[test]
fn keys_that_do_not_exist() {
    is_wrong_as_marked("sever = 1 # <- sever: unknown key");
    is_wrong_as_marked("[server]\nttl = \"1h\" # <- server.ttl: unknown key");
    is_wrong_as_marked("[[route]]\npath = \"/\"\nupstraem = \"goods\" # <- route[0].upstraem: unknown key");
    let help = |text: &str| load(text).unwrap_err().list.remove(0).help.unwrap();
    assert_eq!(help("[server]\nttl = \"1h\""), "`ttl` belongs under `[token]`");
    assert_eq!(help("[server]\nappid = \"x\""), "`appid` belongs under `[app.NAME]`");
    assert_eq!(help("[log]\nwxyz = 1"), "known here: `access`, `format`, `level`");
}

#[test]
fn values_of_the_wrong_type() {
    is_wrong_as_marked(
        "[server]\nlisten = \"0.0.0.0:80\" # <- server.listen: expected a list in square brackets, found a text",
    );
    is_wrong_as_marked(
        "[server]\nheader_timeout = 10 # <- server.header_timeout: expected a time in quotes such as \"30s\", found a number",
    );
    is_wrong_as_marked("[log]\naccess = \"yes\" # <- log.access: expected true or false, found a text");
    is_wrong_as_marked("[log]\nlevel = 3 # <- log.level: expected a text in quotes, found a number");
    is_wrong_as_marked(
        "[log]\nformat = \"jsn\" # <- log.format: expected one of \"auto\", \"json\", \"text\"",
    );
    is_wrong_as_marked(
        "[log]\nformat = 1979-05-27 # <- log.format: expected one of \"auto\", \"json\", \"text\", found a date",
    );
    is_wrong_as_marked("route = [1] # <- route[0]: expected a table, found a number\n#[[route]]");
    is_wrong_as_marked("[server]\nworkers = -1 # <- server.workers: ");
    is_wrong_as_marked(
        "[server]\nworkers = 1.5 # <- server.workers: expected a whole number, found a number with a fraction",
    );
    is_wrong_as_marked("[server]\nheader_bytes_max = \"1MB\" # <- server.header_bytes_max: not a size");
    is_wrong_as_marked(
        "[login]\nrate = \"0/m\" # <- login.rate: not a rate\nbudget = \"none\" # <- login.budget: not a rate",
    );
    is_wrong_as_marked(
        "[[route]]\npath = \"/\"\nupstream = \"goods\"\nrate = { limit = \"fast\" } # <- route[0].rate.limit: not a rate",
    );
}

#[test]
fn values_that_are_missing() {
    is_wrong_as_marked(
        "[app.shop] # <- app.shop.appid: the appid is missing & app.shop.secret: the AppSecret is missing",
    );
    is_wrong_as_marked("[token] # <- token.keys: at least one signing key is needed");
    is_wrong_as_marked("[token]\nkeys = [{ env = \"KEY\" }] # <- token.keys[0].kid: the key needs a name");
    is_wrong_as_marked("[upstream.goods] # <- upstream.goods.servers: an upstream needs at least one server");
    is_wrong_as_marked(
        "[[route]] # <- route[0].upstream: a route needs an upstream & route[0].path: a route needs a path",
    );
    is_wrong_as_marked(
        "[[route]]\npath = \"/\"\nupstream = \"goods\"\nrate = {} # <- route[0].rate.limit: a rate needs a limit",
    );
    let mistakes = load_with("", Mode::Normal, &Vault::full()).unwrap_err();
    let expected = [
        "1 version: `version` is missing",
        "1 token.keys: at least one signing key",
        "1 store.keys: where sessions are kept, a key",
        "1 app: at least one app",
    ];
    assert!(
        told(&mistakes).iter().zip(expected).all(|(found, expected)| found.starts_with(expected)),
        "{mistakes}"
    );
    assert_eq!(mistakes.list.len(), 4, "{mistakes}");
}

#[test]
fn no_app_is_needed_when_nobody_can_log_in() {
    let text = "version = 1\nendpoints.login = \"\"\n[token]\nkeys = [{ kid = \"a\", env = \"KEY\" }]\n\
                [store]\nkind = \"memory\"\n";
    load_with(text, Mode::Normal, &Vault::full()).unwrap();
}

#[test]
fn listeners() {
    is_wrong_as_marked("[server]\nlisten = [] # <- server.listen: at least one address");
    is_wrong_as_marked("[server]\nlisten = [\":8080\"] # <- server.listen[0]: not an address");
    is_wrong_as_marked("[server]\nlisten = [\"localhost:8080\"] # <- server.listen[0]: not an address");
    is_wrong_as_marked(
        "[server]\nlisten = [\"0.0.0.0:80\",\n\"127.0.0.1:80\"] # <- server.listen[1]: this port is already taken",
    );
    is_wrong_as_marked(
        "[server]\nlisten = [\"0.0.0.0:9090\"]\n[admin]\nlisten = \"127.0.0.1:9090\" # <- admin.listen: the private listener needs a port of its own",
    );
    for public in ["0.0.0.0:9090", "10.0.0.1:9090", "[::]:9090", "[::ffff:127.0.0.1]:9090"] {
        is_wrong_as_marked(&format!(
            "[admin]\nlisten = \"{public}\" # <- admin.listen: the private listener must be on a loopback"
        ));
    }
    load("[admin]\nlisten = \"10.0.0.1:9090\"\ntoken = { env = \"MERCHANT_SECRET\" }").unwrap();
    is_wrong_as_marked(
        "[admin]\nlisten = \"10.0.0.1:9090\"\ntoken = { env = \"NONE\" } # <- admin.token: the environment variable",
    );
    is_wrong_as_marked("[admin.service.order] # <- admin.service.order.token: a service needs a credential");
    is_wrong_as_marked(
        "[admin.service.order]\ntoken = { env = \"MERCHANT_SECRET\" }\napps = [\"shpo\"] # <- admin.service.order.apps[0]: there is no `[app.shpo]`",
    );
    is_wrong_as_marked(
        "[admin]\ntoken = { env = \"MERCHANT_SECRET\" }\n[admin.service.order]\ntoken = { env = \"MERCHANT_SECRET\" } # <- admin.service.order.token: another caller has this credential",
    );
    is_wrong_as_marked(
        "[admin.service.order]\ntoken = { env = \"MERCHANT_SECRET\" }\nchecks = \"many\" # <- admin.service.order.checks: not a rate",
    );
    load("[server]\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\", \"0.0.0.0:80\", \"[::]:80\"]").unwrap();
}

#[test]
fn trusted_proxies() {
    for all in ["0.0.0.0/0", "::/0", "::ffff:0:0/96", "::/64"] {
        is_wrong_as_marked(&format!(
            "[server]\ntrusted_proxies = [\"{all}\"] # <- server.trusted_proxies[0]: this network is everybody"
        ));
    }
    is_wrong_as_marked(
        "[server]\ntrusted_proxies = [\"0.0.0.0/1\", \"128.0.0.0/1\"] # <- server.trusted_proxies: together these networks are everybody",
    );
    is_wrong_as_marked(
        "[server]\ntrusted_proxies = [\"10.1.0.0/8\"] # <- server.trusted_proxies[0]: the address has bits outside",
    );
    is_wrong_as_marked("[server]\ntrusted_proxies = [\"lb\"] # <- server.trusted_proxies[0]: not a network");
    assert_eq!(
        load("[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]").unwrap().server.trusted_proxies.len(),
        2
    );
}

#[test]
fn limits_that_make_no_sense() {
    for (key, value) in [
        ("header_timeout", "\"0s\""),
        ("keepalive_timeout", "\"0s\""),
        ("read_timeout", "\"1ms\""),
        ("write_timeout", "\"2d\""),
        ("header_bytes_max", "\"10B\""),
        ("target_bytes_max", "\"10B\""),
        ("upstream_pool", "0"),
        ("workers", "0"),
        ("drain_delay", "\"2h\""),
        ("drain_timeout", "\"2d\""),
    ] {
        is_wrong_as_marked(&format!("[server]\n{key} = {value} # <- server.{key}: must be from"));
    }
    is_wrong_as_marked(
        "[server]\nheader_bytes_max = \"4KiB\"\ntarget_bytes_max = \"5KiB\" # <- server.target_bytes_max: the path cannot be larger",
    );
    is_wrong_as_marked(
        "[token]\nkeys = [{ kid = \"a\", env = \"KEY\" }]\nttl = \"31d\" # <- token.ttl: must be from 1s to 30d\nleeway = \"61s\" # <- token.leeway: must be from 0s to 1m\n[session]\nlifetime = \"40d\"",
    );
    is_wrong_as_marked("[session]\nlifetime = \"1h\" # <- session.lifetime: must not be below `token.ttl`");
    is_wrong_as_marked("[login]\nreplay = \"6m\" # <- login.replay: must be from");
    is_wrong_as_marked(
        "[wechat]\nconcurrency = 0 # <- wechat.concurrency: must be from\ntimeout = \"0s\" # <- wechat.timeout: must be from\nconnect_timeout = \"0s\" # <- wechat.connect_timeout: must be from",
    );
    is_wrong_as_marked("[store]\nkind = \"memory\"\nsessions_max = 0 # <- store.sessions_max: must be from");
    is_wrong_as_marked(
        "[upstream.goods]\nservers = [\"a:1\"]\ntries = 0 # <- upstream.goods.tries: must be from 1 to 16\nidle_timeout = \"0s\" # <- upstream.goods.idle_timeout: must be",
    );
}

/// The client for WeChat refuses what it cannot work with; by then `wxgate check` had said that all is well.
#[test]
fn the_times_of_wechat_fit_each_other() {
    is_wrong_as_marked(
        "[wechat]\nconnect_timeout = \"9s\" # <- wechat.connect_timeout: must be less than `wechat.timeout` (10ms)\ntimeout = \"10ms\"",
    );
    is_wrong_as_marked(
        "[wechat]\nconnect_timeout = \"8s\" # <- wechat.connect_timeout: must be less than `wechat.timeout` (8s)",
    );
    is_wrong_as_marked(
        "[wechat]\ntimeout = \"2s\" # <- wechat.timeout: must be more than `wechat.connect_timeout` (2s)",
    );
    is_wrong_as_marked("[wechat]\ntimeout = \"61s\" # <- wechat.timeout: must be from 10ms to 1m");
    is_wrong_as_marked(
        "[wechat]\nconnect_timeout = \"9s\"\ntimeout = 5 # <- wechat.timeout: expected a time",
    );
    for lines in
        ["", "connect_timeout = \"10ms\"\ntimeout = \"11ms\"", "connect_timeout = \"59s\"\ntimeout = \"60s\""]
    {
        let wechat = load(&format!("[wechat]\n{lines}\n")).unwrap().wechat;
        let settings = WechatSettings {
            base_urls: wechat.base_urls,
            connect_timeout: wechat.connect_timeout,
            timeout: wechat.timeout,
            concurrency: wechat.concurrency,
        };
        assert!(WechatClient::new(&settings).is_ok(), "{lines}");
    }
}

#[test]
fn tokens_and_their_headers() {
    let token = |rest: &str| {
        is_wrong_as_marked(&format!("[token]\nkeys = [{{ kid = \"a\", env = \"KEY\" }}]\n{rest}"))
    };
    token("issuer = \"\" # <- token.issuer: must be 1 to 256");
    token("query = \"a b\" # <- token.query: must be 1 to 64");
    token("headers = [] # <- token.headers: without a header");
    token("headers = [\"host\"] # <- token.headers[0]: `host` is a header with a meaning of its own");
    token("headers = [\"x token\"] # <- token.headers[0]: not a header name");
    token("headers = [\"x-token\", \"X_Token\"] # <- token.headers[1]: this header is listed before");
    is_wrong_as_marked(
        "[token]\nkeys = [{ kid = \"a\", env = \"KEY\" },\n{ kid = \"a\", env = \"KEY\" }] # <- token.keys[1].kid: another key has this name",
    );
    is_wrong_as_marked(
        "[token]\nkeys = [{ kid = \"a/b\", env = \"KEY\" }] # <- token.keys[0].kid: must be 1 to 64",
    );
    is_wrong_as_marked(
        "[token]\nkeys = [{ kid = \"a\", env = \"KEY\", file = \"/run/secrets/key\" }] # <- token.keys[0]: name exactly one place",
    );
}

#[test]
fn identity_headers() {
    for taken in [
        "host",
        "Authorization",
        "content-length",
        "transfer_encoding",
        "connection",
        "cookie",
        "x-forwarded-for",
        "X-Session-Token",
        "sec-fetch-site",
    ] {
        is_wrong_as_marked(&format!("[identity]\nopenid = \"{taken}\" # <- identity.openid: `"));
    }
    is_wrong_as_marked("[identity]\nopenid = \"x wx\" # <- identity.openid: not a header name");
    is_wrong_as_marked(
        "[identity]\nappid = \"X_WX.OpenId\" # <- identity.appid: two identity headers have the same name",
    );
    is_wrong_as_marked(
        "[identity]\nalso_protected = [\"x-user\", \"x_user\"] # <- identity.also_protected[1]: two identity headers",
    );
    is_wrong_as_marked("[identity]\nenv_value = \"a\\nb\" # <- identity.env_value: must be");
    is_wrong_as_marked(
        "[token]\nkeys = [{ kid = \"a\", env = \"KEY\" }]\nheaders = [\"x-token\"]\n[identity]\nopenid = \"x_token\" # <- identity.openid: clients send their token in this header",
    );
}

#[test]
fn apps() {
    let secret = "secret = { env = \"SHOP_SECRET\" }";
    is_wrong_as_marked(&format!(
        "[app.shop]\nappid = \"WX1111111111111111\" # <- app.shop.appid: not an appid\n{secret}"
    ));
    is_wrong_as_marked(&format!(
        "[app.a]\nappid = \"wx1111111111111111\"\n{secret}\n[app.b]\nappid = \"wx1111111111111111\" # <- app.b.appid: another app has this appid\n{secret}"
    ));
    is_wrong_as_marked(&format!(
        "[app.\"a b\"] # <- app.\"a b\": a name is 1 to 64\nappid = \"wx1111111111111111\"\n{secret}"
    ));
}

#[test]
fn upstreams() {
    is_wrong_as_marked(
        "[upstream.goods]\nservers = [\"http://goods:80\", # <- upstream.goods.servers[0]: a server is host and port\n\"goods\"] # <- upstream.goods.servers[1]: a server needs a port",
    );
    is_wrong_as_marked(
        "[upstream.goods]\nservers = [\"a:1\",\"a:1\"] # <- upstream.goods.servers[1]: this server is listed before",
    );
    is_wrong_as_marked(
        "[upstream.goods]\nservers = [\"a:1\"]\nhost = \"a/b\" # <- upstream.goods.host: not a host",
    );
    is_wrong_as_marked(
        "[upstream.goods]\nservers = [] # <- upstream.goods.servers: an upstream needs at least one server",
    );
}

#[test]
fn wechat_store_log_and_endpoints() {
    for (url, message) in [
        ("api.weixin.qq.com", "an address needs a scheme"),
        ("http://api.weixin.qq.com", "plain http is accepted on loopback only"),
        ("ftp://x", "the scheme must be https"),
        ("https://x/path", "an address is scheme, host and port only"),
        ("https://u:p@x", "an address is scheme, host and port only"),
        ("http://localhost.evil.com", "plain http"),
    ] {
        is_wrong_as_marked(&format!("[wechat]\nbase_urls = [\"{url}\"] # <- wechat.base_urls[0]: {message}"));
    }
    is_wrong_as_marked("[wechat]\nbase_urls = [] # <- wechat.base_urls: at least one address");
    is_wrong_as_marked(
        "[store]\nkind = \"memory\"\npath = \"x.redb\" # <- store.path: a store in memory has no `path`",
    );
    is_wrong_as_marked("[store]\nkind = \"disk\" # <- store.kind: expected one of \"memory\", \"embedded\"");
    is_wrong_as_marked(
        "[store]\nkeys = [{ kid = \"a\", env = \"STORE_KEY\" }]\npath = \"\" # <- store.path: not a path of a file",
    );
    is_wrong_as_marked("[log]\nlevel = \"inof\" # <- log.level: not a level");
    is_wrong_as_marked("[log]\nlevel = \"info,wxgate=loud\" # <- log.level: not a filter");
    is_wrong_as_marked("[endpoints]\nlogin = \"login\" # <- endpoints.login: a path starts with `/`");
    is_wrong_as_marked("[endpoints]\nlogin = \"/auth/*\" # <- endpoints.login: an endpoint is one path");
    is_wrong_as_marked(
        "[endpoints]\nlogout = \"/login\" # <- endpoints.logout: two endpoints have the same path",
    );
}

#[test]
fn keys_of_the_store() {
    is_wrong_as_marked("[store] # <- store.keys: where sessions are kept, a key\nkind = \"embedded\"");
    is_wrong_as_marked(
        "[store]\nkind = \"memory\"\nkeys = [{ kid = \"a\", env = \"STORE_KEY\" }] # <- store.keys: a store in memory has no `keys`",
    );
    for (keys, wrong) in [
        ("{ env = \"STORE_KEY\" }", "[0].kid: the key needs a name"),
        ("{ kid = \"a/b\", env = \"STORE_KEY\" }", "[0].kid: must be 1 to 64"),
        ("{ kid = \"a\" }", "[0]: name exactly one place of the key"),
        ("{ kid = \"a\", env = \"NOT_SET\" }", "[0]: the environment variable `NOT_SET` is not set"),
        ("{ kid = \"a\", env = \"KEY\" }", "[0]: this key signs tokens"),
        ("{ kid = \"a\", env = \"SHOP_SECRET\" }", "[0]: a key in hex needs 64 digits"),
        ("{ kid = \"a\", file = \"/run/zeros\" }", "[0]: the key is a repeated pattern"),
        ("{ kid = \"a\", file = \"/run/zeros64\" }", "[0]: the key is a pattern"),
        ("{ kid = \"a\", file = \"/run/short\" }", "[0]: a key that seals is 32 random bytes"),
        (
            "{ kid = \"a\", env = \"STORE_KEY\" }, { kid = \"a\", env = \"STORE_KEY\" }",
            "[1].kid: another key has this name",
        ),
    ] {
        let text = completed(&format!("[store]\nkeys = [{keys}]\n"));
        let vault = Vault::full()
            .with_file("/run/zeros", &"0".repeat(64), 0o600)
            .with_file("/run/zeros64", &format!("{}=", "A".repeat(43)), 0o600)
            .with_file("/run/short", "q7Jm0m8YQ4yqk0Pq3mQ5", 0o600);
        let mistakes = load_with(&text, Mode::Normal, &vault).unwrap_err();
        let told = told(&mistakes);
        assert!(told.len() == 1 && told[0].starts_with(&format!("3 store.keys{wrong}")), "{keys}: {told:?}");
    }
}

#[test]
fn a_store_in_redis() {
    let vault = || {
        Vault::full()
            .with_file("/run/redis", "redis://:s3cret@10.0.0.7:6379/1", 0o600)
            .with_file("/run/tls", "rediss://:s3cret@10.0.0.7", 0o600)
            .with_file("/run/no_url", "10.0.0.7:6379?password=s3cret", 0o600)
            .with_file("/run/no_pem", "s3cret", 0o644)
    };
    let section = |keys: &str| {
        completed(&format!("[store]\nkeys = [{{ kid = \"a\", env = \"STORE_KEY\" }}]\n{keys}\n"))
    };
    let right = "redis = { file = \"/run/redis\" }";
    for (keys, wrong) in [
        ("kind = \"redis\"", "store.redis: where Redis is, is missing"),
        ("redis = \"redis://10.0.0.7\"", "store.redis: a secret in the file itself"),
        (
            "redis = { file = \"/run/no_url\" }",
            "store.redis: not the address of a Redis: starts with none of",
        ),
        ("redis_prefix = \"a\"", "store.redis_prefix: a store in a file has no `redis_prefix`"),
        (&format!("kind = \"embedded\"\n{right}"), "store.redis: a store in a file has no `redis`"),
        (&format!("{right}\npath = \"x\""), "store.path: a store in Redis has no `path`"),
        (&format!("{right}\nsessions_max = 5"), "store.sessions_max: a store in Redis has no `sessions_max`"),
        (&format!("{right}\nredis_prefix = \"a b\""), "store.redis_prefix: not 1 to 32 of"),
        (&format!("{right}\nredis_ca = \"/run/no_pem\""), "store.redis_ca: Redis is reached without TLS"),
        (
            "redis = { file = \"/run/tls\" }\nredis_ca = \"/run/no_pem\"",
            "store.redis_ca: /run/no_pem holds no certificate",
        ),
        (&format!("{right}\nredis_command_timeout = \"11s\""), "store.redis_command_timeout: must be from"),
        (
            &format!("{right}\nredis_connect_timeout = \"2s\""),
            "store.redis_connect_timeout: must not be more than `store.redis_command_timeout` (1s)",
        ),
        (&format!("{right}\nredis_reread = \"0s\""), "store.redis_reread: must be from 1s to 5m"),
        (
            &format!("{right}\nredis_stale_after = \"10s\""),
            "store.redis_stale_after: must not be less than 11s",
        ),
    ] {
        let mistakes = load_with(&section(keys), Mode::Normal, &vault()).unwrap_err();
        let told = told(&mistakes);
        assert!(
            told.iter().any(|told| told[told.find(' ').unwrap() + 1..].starts_with(wrong)),
            "{keys}: {told:?}"
        );
        assert!(!mistakes.to_string().contains("s3cret"), "{mistakes}");
    }
    let without_key = completed(&format!("[store]\n{right}\n"));
    let mistakes = load_with(&without_key, Mode::Normal, &vault()).unwrap_err();
    assert!(told(&mistakes)[0].contains("store.keys: where sessions are kept, a key"), "{mistakes}");
    for keys in [right, &format!("kind = \"redis\"\n{right}")] {
        let checked = load_with(&section(keys), Mode::Normal, &vault()).unwrap();
        let crate::config::Store::Redis(redis) = checked.store else { panic!("{:?}", checked.store) };
        assert_eq!(redis.settings.address.to_string(), "redis://10.0.0.7:6379/1");
        assert_eq!((redis.settings.prefix.as_str(), redis.stale_after.as_secs()), ("wxg", 15));
    }
}

#[test]
fn a_store_without_a_key_is_told_what_to_run() {
    let text = completed("[store]\npath = \"x.redb\"\n");
    let mistakes = load_with(&text, Mode::Normal, &Vault::full()).unwrap_err().to_string();
    for part in [
        "store.keys: where sessions are kept, a key must seal `session_key`",
        "run `wxgate keygen --alg aes256 --out /etc/wxgate/store.key`",
        "`keys = [{ kid = \"2026-11\", file = \"/etc/wxgate/store.key\" }]` under `[store]`",
    ] {
        assert!(mistakes.contains(part), "{part} is not in {mistakes}");
    }
    load_with(&text, Mode::Dev, &Vault::full()).unwrap();
}
