//! Host, path and method choose the route; the service gets the canonical target.

use crate::harness::{Config, Gateway, Recorder, SHOP, exchange};

const ROUTES: &str = r#"
[[route]]
path = "/public/*"
upstream = "service"
auth = "none"
[[route]]
path = "/public/internal/*"
auth = "deny"
[[route]]
path = "/strip/*"
upstream = "service"
auth = "none"
strip_prefix = "/strip"
[[route]]
path = "/item/*"
auth = "deny"
[[route]]
path = "/item/{id}"
upstream = "service"
auth = "none"
methods = ["GET", "POST"]
[[route]]
path = "/goods/*"
hosts = ["shop.example.com"]
upstream = "other"
auth = "none"
[[route]]
path = "/goods/*"
hosts = ["*.example.com"]
upstream = "service"
auth = "none"
"#;

async fn start() -> (Gateway, Recorder, Recorder) {
    let (service, other) = (Recorder::start().await, Recorder::start().await);
    let mut config = Config::new(service.port, ROUTES);
    config.upstreams.push_str(&format!("[upstream.other]\nservers = [\"localhost:{}\"]\n", other.port));
    (Gateway::start(config).await, service, other)
}

fn get(host: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// Status of the answer and, if the request came through, the target that the service saw.
async fn way(gateway: &Gateway, recorder: &Recorder, host: &str, target: &str) -> (u16, Option<String>) {
    let before = recorder.seen().len();
    let answer = exchange(gateway.port, get(host, target)).await;
    let status = answer.split(' ').nth(1).unwrap_or("0").parse().unwrap();
    let seen = recorder.seen();
    (status, (seen.len() > before).then(|| seen.last().unwrap().target().to_owned()))
}

#[tokio::test]
async fn the_service_gets_the_path_that_was_matched() {
    let (gateway, service, _) = start().await;
    for (target, status, seen) in [
        ("/public", 200, Some("/public")),
        ("/public/", 200, Some("/public/")),
        ("/public/a?x=%zz&y=/../", 200, Some("/public/a?x=%zz&y=/../")),
        ("/%70ublic/%61", 200, Some("/public/a")),
        ("/public/%e4%b8%ad", 200, Some("/public/%E4%B8%AD")),
        ("http://gw.test/public/x", 200, Some("/public/x")),
        ("/public/internal", 403, None),
        ("/public/internal/x", 403, None),
        ("/public/%69nternal/x", 403, None),
        ("/public/internal;x=1/y", 404, None),
        ("/publicx", 404, None),
        ("/public/../internal", 400, None),
        ("/public/%2e%2e/internal", 400, None),
        ("/public//internal", 400, None),
        ("/public/..%2finternal", 400, None),
        ("http://other.test/public/x", 400, None),
        ("/strip", 200, Some("/")),
        ("/strip/", 200, Some("/")),
        ("/strip/admin?x=1", 200, Some("/admin?x=1")),
        ("/strip../admin", 404, None),
        ("/strip//admin", 400, None),
        ("/item/7", 200, Some("/item/7")),
        ("/item/7/", 403, None),
        ("/item/", 403, None),
        ("/nowhere", 404, None),
    ] {
        assert_eq!(
            way(&gateway, &service, "gw.test", target).await,
            (status, seen.map(str::to_owned)),
            "{target}"
        );
    }
}

#[tokio::test]
async fn the_host_chooses_among_routes_of_one_path() {
    let (gateway, service, other) = start().await;
    assert_eq!(way(&gateway, &other, "shop.example.com", "/goods/1").await.1.as_deref(), Some("/goods/1"));
    assert_eq!(
        way(&gateway, &other, "SHOP.example.com.:8080", "/goods/1").await.1.as_deref(),
        Some("/goods/1")
    );
    assert_eq!(other.last().one("host"), "shop.example.com:8080");
    assert_eq!(way(&gateway, &service, "m.example.com", "/goods/1").await.1.as_deref(), Some("/goods/1"));
    assert_eq!(way(&gateway, &service, "a.m.example.com", "/goods/1").await, (404, None));
    assert_eq!(way(&gateway, &service, "elsewhere", "/goods/1").await, (404, None));
    for host in ["gw.test:99999", "gw.test@evil", "a b", "", "gw.test/x", "a,b"] {
        assert_eq!(way(&gateway, &service, host, "/public").await, (400, None), "{host}");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_which_it_does() {
    let (gateway, ..) = start().await;
    let answer = gateway.client.delete(gateway.url("/item/7")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &"GET, POST".parse().unwrap()));
    let overridden = gateway.client.delete(gateway.url("/item/7")).header("X-HTTP-Method-Override", "GET");
    assert_eq!(overridden.send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn servers_are_asked_in_turn_and_a_dead_one_is_passed_over() {
    let (one, two) = (Recorder::start().await, Recorder::start().await);
    let mut config = Config::new(one.port, ROUTES.split("[[route]]\npath = \"/goods").next().unwrap());
    let dead = crate::harness::free_port();
    config.upstreams = format!(
        "[upstream.service]\nservers = [\"127.0.0.1:{}\", \"127.0.0.1:{dead}\", \"127.0.0.1:{}\"]\n",
        one.port, two.port
    );
    let gateway = Gateway::start(config).await;
    for _ in 0..20 {
        assert_eq!(gateway.get("/public/x").send().await.unwrap().status(), 200);
        let posted = gateway.post("/public/x").body("payload").send().await.unwrap();
        assert_eq!(posted.status(), 200);
    }
    let (ones, twos) = (one.seen().len(), two.seen().len());
    assert!(ones + twos == 40 && ones >= 10 && twos >= 10, "{ones} and {twos}");
    assert!(
        one.seen()
            .iter()
            .chain(&two.seen())
            .filter(|seen| seen.request_line().starts_with("POST"))
            .all(|seen| seen.body == b"payload")
    );
}

#[tokio::test]
async fn a_rate_is_kept_for_each_user() {
    let service = Recorder::start().await;
    let routes = "[[route]]\npath = \"/slow/*\"\nupstream = \"service\"\nrate = { per = \"openid\", limit = \"5/m\" }\n";
    let gateway = Gateway::start(Config::new(service.port, routes)).await;
    let (alice, bob) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "bob").await);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(gateway.get_as(&alice, "/slow/x").await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    let refused = gateway.get_as(&alice, "/slow/x").await;
    assert_eq!(refused.headers()["x-wxgate-error"], "rate_limited");
    let wait: u32 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=13).contains(&wait), "{wait}");
    assert_eq!(gateway.get_as(&bob, "/slow/x").await.status(), 200);
}
