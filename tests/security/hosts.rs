//! Group A: the host, and the order of the routes.

use super::case;
use super::fixture::Fixture;
use crate::harness::{Config, Gateway, Recorder, run, wxgate};

const ROUTES: &str = r#"
[[route]]
path = "/goods/*"
hosts = ["gw.test", "[::1]", "xn--fsq.test"]
upstream = "service"
auth = "none"
[[route]]
path = "/goods/*"
hosts = ["*.gw.test"]
auth = "deny"
"#;

async fn with_hosts(more: usize) -> Fixture {
    let more = (0..more)
        .map(|n| format!("[[route]]\npath = \"/goods/*\"\nhosts = [\"h{n}.test\"]\nauth = \"deny\"\n"));
    Fixture::start(&format!("{ROUTES}{}", more.collect::<String>())).await
}

#[tokio::test]
async fn a_host_has_one_spelling_and_an_unknown_one_leads_nowhere() {
    for front in [with_hosts(0).await, with_hosts(150).await] {
        let status = async |host: &str| {
            let outcome = front.send(format!("GET /goods/1 HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            (outcome.status, outcome.seen.map(|seen| seen.one("host").to_owned()))
        };
        {
            let _case = case(
                "A29",
                "a host is compared without case, port and final dot, and refused if it is none, however many are configured",
            );
            for (host, seen) in [
                ("gw.test", "gw.test"),
                ("GW.TEST", "gw.test"),
                ("gw.test.", "gw.test"),
                ("gw.test:8080", "gw.test:8080"),
                ("GW.Test.:80", "gw.test:80"),
                ("[::1]", "[::1]"),
                ("[0:0::1]:8080", "[::1]:8080"),
                ("xn--FSQ.test", "xn--fsq.test"),
                ("\tgw.test ", "gw.test"),
            ] {
                assert_eq!(status(host).await, (200, Some(seen.to_owned())), "{host:?}");
            }
            for host in [
                "gw.test:99999",
                "gw.test:",
                "gw.test:8x",
                "gw.test@evil",
                "evil@gw.test",
                "gw.test, gw.test",
                "gw.test gw.test",
                "gw.test/",
                "gw.test..",
                ".gw.test",
                "gw..test",
                "[::1",
                "::1",
                "g\u{e9}.test",
                "gw.test;for=evil",
                "gw.test\\",
                "gw%2etest",
                "",
            ] {
                assert_eq!(status(host).await, (400, None), "{host:?}");
            }
        }
        {
            let _case = case("A30", "an unknown host leads to no route, not to the first one");
            for (host, expected) in [
                ("unknown.test", 404),
                ("test", 404),
                ("127.0.0.1", 404),
                ("gw.test.evil", 404),
                ("a.b.gw.test", 404),
                ("a.gw.test", 403),
            ] {
                assert_eq!(status(host).await, (expected, None), "{host:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_most_specific_route_wins_in_every_order() {
    let _case = case(
        "A32",
        "a closed path below an open one stays closed in every order of the routes, and a tie does not start",
    );
    let open = "[[route]]\npath = \"/public/*\"\nupstream = \"service\"\nauth = \"none\"\n";
    let closed = "[[route]]\npath = \"/public/internal/*\"\nauth = \"deny\"\n";
    let any = "[[route]]\npath = \"/public/{any}/x\"\nupstream = \"service\"\nauth = \"none\"\n";
    for routes in [
        [open, closed, any],
        [open, any, closed],
        [closed, open, any],
        [closed, any, open],
        [any, open, closed],
        [any, closed, open],
    ] {
        let front = Fixture::start(&routes.concat()).await;
        front
            .holds(&[
                ("/public/internal/x", 403, None),
                ("/public/internal", 403, None),
                ("/public/%69nternal/x", 403, None),
                ("/public/other/x", 200, Some("/public/other/x")),
            ])
            .await;
    }
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(Config::new(recorder.port, open)).await;
    let tied = open.replace("none", "required");
    let config = std::fs::read_to_string(gateway.config_path()).unwrap();
    std::fs::write(gateway.config_path(), format!("{config}\n{tied}")).unwrap();
    let checked = run(wxgate().current_dir(gateway.folder.path()).args(["check", "--config", "wxgate.toml"]));
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(!checked.status.success() && said.contains("/public/*"), "{said}");
}
