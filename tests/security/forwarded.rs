//! Group C: forwarded headers and the client's address.

use crate::harness::{Config, Gateway, Recorder, exchange, exchange_from, gateway};

use super::case;

/// A proxy that is believed, and its network. Everybody else on this machine is nobody.
pub(super) const PROXY: &str = "127.0.9.9";
pub(super) const TRUSTED: &str = "[server]\ntrusted_proxies = [\"127.0.9.0/24\"]\n";

async fn before_recorder(sections: &str) -> (Gateway, Recorder) {
    let recorder = Recorder::start().await;
    let config = Config::new(recorder.port, gateway::ROUTES).with(TRUSTED).with(sections);
    (Gateway::start(config).await, recorder)
}

pub(super) fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n")
}

pub(super) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

#[tokio::test]
async fn nobodys_word_counts_but_a_believed_proxys() {
    let (gateway, recorder) = before_recorder("").await;
    {
        let _case = case(
            "C01",
            "whoever is not in `trusted_proxies` cannot name an address: the service is told the connection's own \
             (there is no address list on routes that a claim could open)",
        );
        for lines in
            ["X-Forwarded-For: 10.0.0.1\r\n", "X-Forwarded-For: 127.0.9.9\r\n", "X-Real-IP: 10.0.0.1\r\n"]
        {
            exchange(gateway.port, get("/public/x", lines)).await;
            let seen = recorder.last();
            assert_eq!(seen.one("x-forwarded-for"), "127.0.0.1", "{lines}");
            assert_eq!(seen.one("x-real-ip"), "127.0.0.1", "{lines}");
        }
        let answer = exchange(gateway.port, get("/internal/x", "X-Forwarded-For: 127.0.0.1\r\n")).await;
        assert_eq!(status(&answer), "403");
    }
    let told = async |lines: &str| {
        exchange_from(PROXY, gateway.port, get("/public/x", lines)).await;
        recorder.last().one("x-real-ip").to_owned()
    };
    {
        let _case = case(
            "C02",
            "behind believed proxies the client is the right-most address that is not one of them: what stands left of \
             it, the client wrote itself",
        );
        assert_eq!(told("X-Forwarded-For: 1.1.1.1, 2.2.2.2, 127.0.9.8\r\n").await, "2.2.2.2");
        assert_eq!(recorder.last().one("x-forwarded-for"), format!("2.2.2.2, {PROXY}"));
        assert_eq!(told("X-Forwarded-For: 2001:db8::7,127.0.9.8 , 127.0.9.7\r\n").await, "2001:db8::7");
        assert_eq!(told("").await, PROXY);
    }
    {
        let _case = case(
            "C08",
            "several `X-Forwarded-For` lines are one list in their order: a client's own line does not win over the \
             proxy's",
        );
        assert_eq!(
            told("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-For: 127.0.9.8\r\n")
                .await,
            "2.2.2.2"
        );
        // Which of two protocols is the proxy's, nobody knows: neither counts.
        told("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n").await;
        assert_eq!(recorder.last().one("x-forwarded-proto"), "http");
        told("X-Forwarded-Proto: https\r\n").await;
        assert_eq!(recorder.last().one("x-forwarded-proto"), "https");
    }
    let _case = case(
        "C03",
        "an entry that is no plain address ends the search at the proxy that passed it on, a v4-mapped one is its IPv4 \
         address, and a list is followed for 32 entries: garbage gives nobody another address",
    );
    for garbage in [
        "unknown",
        "_hidden",
        "1.2.3.4<script>",
        "1.2.3.4:99",
        "[::1]",
        "",
        " , ",
        "1.2.3.4 5.6.7.8",
        "01.2.3.4",
    ] {
        for before in ["", "9.9.9.9, "] {
            let lines = format!("X-Forwarded-For: {before}{garbage}\r\n");
            assert_eq!(told(&lines).await, PROXY, "{lines}");
        }
    }
    assert_eq!(told("X-Forwarded-For: ::ffff:10.0.0.1\r\n").await, "10.0.0.1");
    let hops = ["127.0.9.8"; 500].join(",");
    assert_eq!(told(&format!("X-Forwarded-For: 6.6.6.6,{hops}\r\n")).await, "127.0.9.8");
    let hops = ["6.6.6.6"; 500].join(",");
    assert_eq!(told(&format!("X-Forwarded-For: {hops},2.2.2.2\r\n")).await, "2.2.2.2");
}

#[tokio::test]
async fn nothing_that_a_client_says_of_itself_is_used_or_passed_on() {
    let recorder = Recorder::start().await;
    let host = "\n[[route]]\npath = \"/hosted/*\"\nhosts = [\"shop.gw.test\"]\nupstream = \"service\"\nauth = \"none\"\n";
    let routes = format!("{}{host}", gateway::ROUTES);
    let gateway = Gateway::start(Config::new(recorder.port, &routes).with(TRUSTED)).await;
    {
        let _case = case(
            "C04",
            "protocol, host, port and prefix that a client claims take part in no match and reach no service: it is told \
             the gateway's own",
        );
        let lines = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.gw.test\r\nX-Forwarded-Port: 1\r\n\
                     X-Forwarded-Prefix: /evil\r\nX-Forwarded-Ssl: on\r\nX-Scheme: https\r\nX-Url-Scheme: https\r\n\
                     Front-End-Https: on\r\nX-Host: shop.gw.test\r\nX-Original-Host: shop.gw.test\r\n";
        exchange(gateway.port, get("/public/x", lines)).await;
        let seen = recorder.last();
        assert_eq!(seen.one("x-forwarded-proto"), "http");
        assert_eq!(seen.one("x-forwarded-host"), "gw.test");
        assert_eq!(seen.one("host"), "gw.test");
        let own = ["X_FORWARDED_FOR", "X_FORWARDED_PROTO", "X_FORWARDED_HOST", "X_REAL_IP", "X_REQUEST_ID"];
        told_apart(&seen.folded_names(), &own);
        let count = recorder.seen().len();
        for from in ["127.0.0.1", PROXY] {
            let answer = exchange_from(from, gateway.port, get("/hosted/x", lines)).await;
            assert_eq!(status(&answer), "404", "the Host alone picks the route, {from}");
        }
        assert_eq!(recorder.seen().len(), count);
    }
    {
        let _case = case(
            "C05",
            "the path and the method that were asked for are those of the request line: headers that name others open \
             nothing and reach no service",
        );
        let names = [
            "X-Forwarded-Uri",
            "X-Forwarded-Path",
            "X-Original-URI",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-Forwarded-Method",
            "X-Original-Method",
            "X-HTTP-Method",
            "X-HTTP-Method-Override",
            "X-Method-Override",
        ];
        let count = recorder.seen().len();
        for name in names {
            for value in ["/public/x", "OPTIONS"] {
                let lines = format!("{name}: {value}\r\n");
                for (path, expected) in [("/api/secret", "401"), ("/internal/x", "403"), ("/nowhere", "404")]
                {
                    let answer = exchange_from(PROXY, gateway.port, get(path, &lines)).await;
                    assert_eq!(status(&answer), expected, "{path} {lines}");
                }
            }
        }
        assert_eq!(recorder.seen().len(), count);
        let lines: String = names.iter().map(|name| format!("{name}: /internal/x\r\n")).collect();
        exchange(gateway.port, get("/public/x", &lines)).await;
        told_apart(&recorder.last().folded_names(), &OWN);
    }
    {
        let _case = case(
            "C06",
            "a Host that would end a quoted `Forwarded` value is refused, and a `Forwarded` header is dropped: the gateway \
             writes none that a client could have a part in",
        );
        let count = recorder.seen().len();
        for host in ["gw.test\";for=evil", "gw.test;for=evil", "\"gw.test\"", "gw.test,evil"] {
            let answer =
                exchange(gateway.port, format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            assert_eq!(status(&answer), "400", "{host}");
        }
        assert_eq!(recorder.seen().len(), count);
        for from in ["127.0.0.1", PROXY] {
            let lines = "Forwarded: for=6.6.6.6;proto=https;host=evil\r\nForwarded: for=evil\r\n";
            exchange_from(from, gateway.port, get("/public/x", lines)).await;
            assert!(recorder.last().all("forwarded").is_empty(), "{}", recorder.last().head);
            assert_eq!(recorder.last().one("x-real-ip"), from);
        }
    }
    {
        let _case = case(
            "C07",
            "a name that a service folds into `X-Forwarded-…` is the same name: each spelling is removed, and none is \
             believed of a trusted proxy either",
        );
        for name in [
            "X_Forwarded_For",
            "X.Forwarded.For",
            "x-forwarded_for",
            "XForwardedFor",
            "X-Forwarded.Proto",
            "X-Forwarded_Host",
            "X_Real_IP",
        ] {
            for from in ["127.0.0.1", PROXY] {
                exchange_from(from, gateway.port, get("/public/x", &format!("{name}: 6.6.6.6\r\n"))).await;
                let seen = recorder.last();
                told_apart(&seen.folded_names(), &OWN);
                assert!(!seen.head.contains("6.6.6.6"), "{name} from {from}: {}", seen.head);
            }
        }
    }
    let _case = case(
        "C12",
        "every other header in which a client's address travels is removed, also those of clouds and content networks: \
         the service finds one, the gateway's",
    );
    for name in [
        "X-Real-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "X-Remote-IP",
        "X-Remote-Addr",
        "X-Original-Forwarded-For",
        "X-Forwarded-Client-Cert",
        "True-Client-IP",
        "CF-Connecting-IP",
        "CF-Connecting-IPv6",
        "Fastly-Client-IP",
        "Fly-Client-IP",
        "Ali-Cdn-Real-Ip",
        "Cdn-Src-Ip",
        "X-Azure-ClientIP",
        "X-Envoy-External-Address",
        "Client-IP",
        "Proxy-Client-IP",
        "WL-Proxy-Client-IP",
        "HTTP_CLIENT_IP",
        "HTTP_X_FORWARDED_FOR",
    ] {
        for spelling in [name.to_owned(), name.replace('-', "_"), name.to_uppercase()] {
            exchange(gateway.port, get("/public/x", &format!("{spelling}: 6.6.6.6\r\n"))).await;
            let seen = recorder.last();
            assert!(!seen.head.contains("6.6.6.6"), "{spelling}: {}", seen.head);
            assert_eq!(seen.one("x-real-ip"), "127.0.0.1", "{spelling}");
        }
    }
}

/// What the gateway itself tells of where a request came from.
const OWN: [&str; 5] =
    ["X_FORWARDED_FOR", "X_FORWARDED_PROTO", "X_FORWARDED_HOST", "X_REAL_IP", "X_REQUEST_ID"];

/// Each of the gateway's own names stands there once, and besides them only what every request has.
#[track_caller]
fn told_apart(folded: &[String], own: &[&str]) {
    let mut rest = folded.to_vec();
    for name in own {
        let at = rest.iter().position(|found| found == name);
        rest.remove(at.unwrap_or_else(|| panic!("no {name} in {folded:?}")));
    }
    assert_eq!(rest, ["HOST"], "{folded:?}");
}
