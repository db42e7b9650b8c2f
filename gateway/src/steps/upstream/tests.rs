use super::*;
use crate::config::ServerAddress;

fn upstream(servers: &[&str]) -> Upstreams {
    let servers = servers.iter().map(|server| ServerAddress::Ip(server.parse().unwrap()));
    Upstreams::new(vec![config(servers.collect())], None)
}

fn config(servers: Vec<ServerAddress>) -> config::Upstream {
    let second = Duration::from_secs(1);
    config::Upstream {
        name: "u".into(),
        servers,
        connect_timeout: second,
        read_timeout: second,
        write_timeout: second,
        idle_timeout: second,
        websocket_idle_timeout: second,
        tries: 3,
        host: None,
        assertion: false,
    }
}

/// Ports of the servers that `n` requests in a row are sent to.
fn ports(upstreams: &Upstreams, n: usize) -> Vec<u16> {
    (0..n).map(|_| upstreams.pick(&Permit::for_test(0), 0).unwrap().address.port()).collect()
}

#[test]
fn servers_are_asked_in_turn() {
    let upstreams = upstream(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
    assert_eq!(ports(&upstreams, 6), [1, 2, 3, 1, 2, 3]);
}

#[test]
fn a_server_that_took_no_connection_rests_while_others_can_be_asked() {
    let upstreams = upstream(&["127.0.0.1:1", "127.0.0.1:2"]);
    let first = upstreams.pick(&Permit::for_test(0), 0).unwrap();
    assert_eq!(first.address.port(), 1);
    upstreams.rest(&first);
    assert_eq!(ports(&upstreams, 3), [2, 2, 2]);
    upstreams.rest(&upstreams.pick(&Permit::for_test(0), 0).unwrap());
    assert_eq!(ports(&upstreams, 2).len(), 2, "all rest, so all are asked");
}

#[tokio::test]
async fn names_are_looked_up_all_at_once() {
    let name = |host: &str| ServerAddress::Name { host: host.into(), port: 80 };
    let upstreams = Upstreams::new(vec![config(vec![name("a"), name("b")]), config(vec![name("c")])], None);
    // No look-up ends before all three have begun.
    let begun = &tokio::sync::Barrier::new(3);
    let look_up = |_host, port| async move {
        begun.wait().await;
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
    };
    tokio::time::timeout(Duration::from_secs(10), upstreams.resolve_by(look_up)).await.unwrap();
    assert!(upstreams.unresolved().is_empty());
}

#[test]
fn tries_are_counted_and_end() {
    let upstreams = upstream(&["127.0.0.1:1"]);
    assert!(upstreams.pick(&Permit::for_test(0), 2).is_ok());
    assert_eq!(upstreams.pick(&Permit::for_test(0), 3).unwrap_err(), Denied::UpstreamUnavailable);
    assert_eq!(upstream(&[]).pick(&Permit::for_test(0), 0).unwrap_err(), Denied::UpstreamUnavailable);
}
