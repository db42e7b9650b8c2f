//! Host, path and method choose the route, and the route a server.

use crate::harness::{Config, Gateway, Outcome, Recorder, SHOP};

const ROUTES: &str = r#"
[[route]]
path = "/public/*"
upstream = "service"
auth = "none"
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

/// What a service sees of a GET.
async fn target(gateway: &Gateway, recorder: &Recorder, host: &str) -> Option<String> {
    let request = format!("GET /goods/1 HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let outcome = Outcome::of(gateway, recorder, request).await;
    outcome.way().1.map(str::to_owned)
}

#[tokio::test]
async fn the_host_chooses_among_routes_of_one_path() {
    let (gateway, service, other) = start().await;
    for (service, host, seen) in [
        (&other, "shop.example.com", Some("/goods/1")),
        (&other, "SHOP.example.com.:8080", Some("/goods/1")),
        (&service, "m.example.com", Some("/goods/1")),
        (&service, "a.m.example.com", None),
        (&service, "elsewhere", None),
    ] {
        assert_eq!(target(&gateway, service, host).await.as_deref(), seen, "{host}");
    }
    assert_eq!(other.last().one("host"), "shop.example.com:8080");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_which_it_does() {
    let (gateway, ..) = start().await;
    let answer = gateway.client.delete(gateway.url("/item/7")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &"GET, POST".parse().unwrap()));
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
