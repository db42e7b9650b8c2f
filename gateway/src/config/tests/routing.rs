//! Routes: what each may say, and how they stand beside each other.

use auth_core::keys::{Algorithm, generate};
use secrecy::ExposeSecret;

use super::{Vault, completed, is_wrong_as_marked, load, load_with, told};
use crate::config::{HostPattern, Mode, Segment};

/// A route with this path, marked as wrong for this reason.
#[track_caller]
fn path_is_wrong(path: &str, why: &str) {
    is_wrong_as_marked(&format!(
        "[[route]]\nupstream = \"goods\"\npath = \"{}\" # <- route[0].path: {why}",
        escaped(path)
    ));
}

/// The text as TOML writes it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\u{7f}', "\\u007f")
}

#[test]
fn a_path_has_one_spelling() {
    path_is_wrong("", "a path starts with `/`");
    path_is_wrong("goods", "a path starts with `/`");
    path_is_wrong("*", "a path starts with `/`");
    path_is_wrong("/a//b", "an empty segment");
    path_is_wrong("//", "an empty segment");
    path_is_wrong("//*", "an empty segment");
    path_is_wrong("/a/../b", "a dot segment");
    path_is_wrong("/a/./b", "a dot segment");
    path_is_wrong("/..", "a dot segment");
    path_is_wrong("/%61", "encoded characters are decoded");
    path_is_wrong("/商品", "a path holds ASCII only");
    path_is_wrong("/a b", "this character cannot stand");
    path_is_wrong("/a\u{7f}", "this character cannot stand");
    path_is_wrong("/a\\b", "this character cannot stand");
    path_is_wrong("/a\"b", "this character cannot stand");
    path_is_wrong("/a?x=1", "a pattern ends before `?`");
    path_is_wrong("/a*", "`*` stands alone");
    path_is_wrong("/*/a", "`*` stands alone");
    path_is_wrong("/**", "`*` stands alone");
    path_is_wrong("/:id", "`:` does not start a parameter");
    path_is_wrong("/{id}.json", "`{…}` is a whole segment");
    path_is_wrong("/{}", "the name in `{…}`");
    path_is_wrong("/{Id}", "the name in `{…}`");
    path_is_wrong("/{*rest}", "the name in `{…}`");
    path_is_wrong("/{id}/x/{id}", "`{id}` stands there twice");
    is_wrong_as_marked(
        "[[route]]\nupstream = \"goods\"\npath = '/a#b' # <- route[0].path: a pattern ends before `?`",
    );
}

#[test]
fn a_path_becomes_its_segments() {
    let literal = |text: &str| Segment::Literal(text.into());
    let path = |text: &str| {
        let checked = load(&format!("[[route]]\nupstream = \"goods\"\npath = \"{text}\"")).unwrap();
        (checked.routes[0].path.segments.clone(), checked.routes[0].path.prefix)
    };
    assert_eq!(path("/"), (vec![literal("")], false));
    assert_eq!(path("/*"), (vec![], true));
    assert_eq!(path("/a/"), (vec![literal("a"), literal("")], false));
    assert_eq!(path("/a/*"), (vec![literal("a")], true));
    assert_eq!(
        path("/a/{id}/v1:x~!$&'()+,;=@-._"),
        (vec![literal("a"), Segment::Param("id".into()), literal("v1:x~!$&'()+,;=@-._")], false)
    );
}

#[test]
fn hosts_and_methods() {
    let route =
        |rest: &str| is_wrong_as_marked(&format!("[[route]]\npath = \"/x\"\nupstream = \"goods\"\n{rest}"));
    for host in [
        "a.com:80",
        "a.com.",
        "http://a.com",
        "a..com",
        "*.",
        "a.*.com",
        "*a.com",
        ".a.com",
        "a_b.c-",
        "",
        "[::1",
    ] {
        route(&format!("hosts = [\"{host}\"] # <- route[0].hosts[0]: not a host"));
    }
    route("hosts = [\"*\"] # <- route[0].hosts[0]: `*` alone is no host");
    route("hosts = [\"微信.com\"] # <- route[0].hosts[0]: a host holds ASCII only");
    route("hosts = [\"a.com\", \"A.com\"] # <- route[0].hosts[1]: `a.com` is listed before");
    route("hosts = [] # <- route[0].hosts: an empty list matches no request");
    route("methods = [] # <- route[0].methods: an empty list matches no request");
    route("methods = [\"get\"] # <- route[0].methods[0]: methods are written in upper case");
    route("methods = [\"GET POST\"] # <- route[0].methods[0]: not a method");
    route("methods = [\"CONNECT\"] # <- route[0].methods[0]: CONNECT is refused");
    route("methods = [\"POST\"]\nwebsocket = true # <- route[0].websocket: a WebSocket starts with GET");
    let hosts = load(
        "[[route]]\npath = \"/x\"\nupstream = \"goods\"\nhosts = [\"Shop.Example.com\", \"*.example.com\"]",
    )
    .unwrap();
    let expected =
        [HostPattern::Exact("shop.example.com".into()), HostPattern::Wildcard("example.com".into())];
    assert_eq!(hosts.routes[0].hosts, expected);
}

#[test]
fn names_that_lead_nowhere() {
    is_wrong_as_marked(
        "[[route]]\npath = \"/x\"\nupstream = \"god\" # <- route[0].upstream: there is no `[upstream.god]`",
    );
    is_wrong_as_marked(
        "[[route]]\npath = \"/x\"\nupstream = \"goods\"\napps = [\"shop\",\n\"shp\"] # <- route[0].apps[1]: there is no `[app.shp]`",
    );
    is_wrong_as_marked(
        "[[route]]\npath = \"/x\"\nupstream = \"goods\"\napps = [\"shop\", \"shop\"] # <- route[0].apps[1]: this app is listed before",
    );
    is_wrong_as_marked(
        "[[route]] # <- route[0].upstream: a route needs an upstream\npath = \"/x\"\nauth = \"none\"",
    );
    load("[[route]]\npath = \"/x\"\nauth = \"deny\"").unwrap();
}

#[test]
fn an_empty_list_of_apps_is_nobody() {
    let checked = load("[[route]]\npath = \"/x\"\nupstream = \"goods\"\napps = []\n[[route]]\npath = \"/y\"\nupstream = \"goods\"").unwrap();
    assert_eq!(checked.routes[0].apps, Some(vec![]));
    assert_eq!(checked.routes[1].apps, None);
}

#[test]
fn a_list_of_apps_needs_someone_to_ask() {
    for auth in ["none", "deny"] {
        is_wrong_as_marked(&format!(
            "[[route]]\npath = \"/x\"\nupstream = \"goods\"\nauth = \"{auth}\"\napps = [\"shop\"] # <- route[0].apps: where nobody is asked"
        ));
    }
}

#[test]
fn keys_that_do_nothing_on_a_route() {
    let route = |auth: &str, line: &str| {
        format!("[[route]]\npath = \"/x/*\"\nupstream = \"goods\"\nauth = \"{auth}\"\n{line}")
    };
    for line in [
        "websocket = true",
        "token_in_query = true",
        "rate = { limit = \"1/s\" }",
        "strip_prefix = \"/x\"",
        "forward_token = true",
        "renew = true",
        "body_bytes_max = \"1KiB\"",
    ] {
        let key = line.split(' ').next().unwrap();
        is_wrong_as_marked(&route(
            "deny",
            &format!("{line} # <- route[0].{key}: where every request is refused"),
        ));
        let nobody_is_asked = matches!(key, "token_in_query" | "renew");
        assert_eq!(load(&route("none", line)).is_err(), nobody_is_asked, "{line}");
        load(&route("required", line)).unwrap();
    }
    is_wrong_as_marked(&route(
        "none",
        "token_in_query = true # <- route[0].token_in_query: where nobody is asked for a token",
    ));
    is_wrong_as_marked(&route("none", "renew = true # <- route[0].renew: where nobody is asked for a token"));
    // What is written out as it is anyway deceives nobody.
    let off = "websocket = false\ntoken_in_query = false\nrenew = false\nforward_token = false";
    load(&route("deny", off)).unwrap();
}

#[test]
fn a_route_renews_as_the_whole_does_unless_it_says_otherwise() {
    for (whole, own, renews) in [
        ("", "", true),
        ("", "renew = false", false),
        ("renew = false", "", false),
        ("renew = false", "renew = true", true),
        ("", "auth = \"none\"", false),
        ("", "auth = \"deny\"", false),
    ] {
        let checked = load(&format!(
            "[token]\nkeys = [{{ kid = \"a\", env = \"KEY\" }}]\n{whole}\n[[route]]\npath = \"/x\"\nupstream = \"goods\"\n{own}\n"
        ));
        assert_eq!(checked.unwrap().routes[0].renew, renews, "{whole} {own}");
    }
}

#[test]
fn an_assertion_needs_a_key_that_others_can_check() {
    let text = |keys: &str, mark: &str| {
        format!(
            "[token]\nkeys = [{keys}]\n[upstream.goods]\nservers = [\"g:1\"]\nassertion = true{mark}\n[[route]]\npath = \"/x\"\nupstream = \"goods\"\n"
        )
    };
    let (secret, private) = (r#"{ kid = "a", env = "KEY" }"#, r#"{ kid = "b", file = "/run/secrets/pem" }"#);
    let mark = " # <- upstream.goods.assertion: an assertion needs an ES256 or EdDSA key first";
    is_wrong_as_marked(&text(secret, mark));
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let vault = Vault::full().with_file("/run/secrets/pem", generate(algorithm).expose_secret(), 0o600);
        let loaded = |keys: &str| load_with(&completed(&text(keys, "")), Mode::Normal, &vault);
        assert!(loaded(&format!("{private}, {secret}")).unwrap().upstreams[0].assertion);
        let mistakes = loaded(&format!("{secret}, {private}")).unwrap_err();
        assert_eq!(told(&mistakes).len(), 1, "{mistakes}");
        assert!(mistakes.to_string().contains("wxgate keygen --alg es256"), "{mistakes}");
    }
}

#[test]
fn a_prefix_is_stripped_by_whole_literal_segments() {
    let strip = |path: &str, prefix: &str| {
        load(&format!("[[route]]\npath = \"{path}\"\nupstream = \"goods\"\nstrip_prefix = \"{prefix}\""))
            .map(|_| ())
    };
    for (path, prefix) in
        [("/a/b/*", "/a"), ("/a/b/*", "/a/b"), ("/a", "/a"), ("/a/", "/a"), ("/a/{id}", "/a")]
    {
        assert!(strip(path, prefix).is_ok(), "{prefix} of {path} was refused");
    }
    for (path, prefix) in [
        ("/a/b/*", "/"),
        ("/a/b/*", ""),
        ("/ab/*", "/a"),
        ("/a/*", "/a/"),
        ("/a/*", "/a/b"),
        ("/a/{id}", "/a/{id}"),
        ("/a/*", "a"),
        ("/*", "/"),
    ] {
        assert!(strip(path, prefix).is_err(), "{prefix} of {path} passed");
    }
    is_wrong_as_marked(
        "[[route]]\npath = \"/a/*\"\nupstream = \"goods\"\nstrip_prefix = \"/b\" # <- route[0].strip_prefix: must be whole literal segments",
    );
}

/// Two routes with these lines; whether they tie.
fn tie(one: &str, other: &str) -> bool {
    let text = format!("[[route]]\nupstream = \"goods\"\n{one}\n[[route]]\nupstream = \"goods\"\n{other}\n");
    match load(&text) {
        Ok(_) => false,
        Err(mistakes) => {
            let [mistake] = mistakes.list.as_slice() else { panic!("{mistakes}") };
            let (also, _) = mistake.also.as_ref().unwrap();
            assert!(mistake.message.starts_with("two routes match the same"), "{mistakes}");
            assert!(also.start < mistake.span.start, "both places are named, the second one first");
            true
        }
    }
}

#[test]
fn two_routes_that_nothing_tells_apart_are_a_mistake() {
    assert!(tie("path = '/a'", "path = '/a'"));
    assert!(tie("path = '/a/{id}'", "path = '/a/{name}'"));
    assert!(tie("path = '/a/*'\nmethods = ['GET', 'PUT']", "path = '/a/*'\nmethods = ['PUT']"));
    assert!(tie("path = '/a'", "path = '/a'\nmethods = ['PUT']"));
    assert!(tie("path = '/a'\nhosts = ['x.com', 'y.com']", "path = '/a'\nhosts = ['z.com', 'Y.com']"));
    assert!(tie("path = '/a'\nhosts = ['*.x.com']", "path = '/a'\nhosts = ['*.x.com']"));

    assert!(!tie("path = '/a'", "path = '/a/'"));
    assert!(!tie("path = '/a'", "path = '/a/*'"));
    assert!(!tie("path = '/a/{id}'", "path = '/a/b'"));
    assert!(!tie("path = '/a/{id}'", "path = '/a/*'"));
    assert!(!tie("path = '/a'\nmethods = ['GET']", "path = '/a'\nmethods = ['PUT']"));
    assert!(!tie("path = '/a'", "path = '/a'\nhosts = ['x.com']"));
    assert!(!tie("path = '/a'\nhosts = ['a.x.com']", "path = '/a'\nhosts = ['*.x.com']"));
}

#[test]
fn a_route_cannot_take_the_path_of_an_endpoint() {
    is_wrong_as_marked(
        "[[route]]\npath = \"/login\" # <- route[0].path: the gateway answers this path itself\nupstream = \"goods\"\nhosts = [\"a.com\"]\nmethods = [\"GET\"]",
    );
    is_wrong_as_marked(
        "endpoints.jwks = \"/keys\"\n[[route]]\nupstream = \"goods\"\npath = \"/keys\" # <- route[0].path: the gateway answers this path itself",
    );
    load("endpoints.logout = \"\"\n[[route]]\npath = \"/logout\"\nupstream = \"goods\"\n[[route]]\npath = \"/login/*\"\nupstream = \"goods\"").unwrap();
}

#[test]
fn a_route_is_named_by_what_tells_it_apart() {
    let checked = load(
        "[[route]]\npath = '/a'\nupstream = 'goods'\nmethods = ['GET']\n[[route]]\npath = '/a'\nupstream = 'goods'\nmethods = ['PUT']\nhosts = ['x.com']\n\
         [[route]]\npath = '/b'\nupstream = 'goods'\nmethods = ['GET']\n[[route]]\nname = 'mine'\npath = '/c'\nupstream = 'goods'\n",
    );
    let names: Vec<_> = checked.unwrap().routes.iter().map(|route| route.name.to_string()).collect();
    assert_eq!(names, ["GET /a", "PUT x.com/a", "/b", "mine"]);
    is_wrong_as_marked(
        "[[route]]\nname = \"x\"\npath = \"/a\"\nupstream = \"goods\"\n[[route]]\nname = \"x\" # <- route[1].name: two routes have the same name\npath = \"/b\"\nupstream = \"goods\"",
    );
    is_wrong_as_marked(
        "[[route]]\nname = \"\" # <- route[0].name: a name is 1 to 128\npath = \"/a\"\nupstream = \"goods\"",
    );
}
