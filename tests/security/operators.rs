//! Groups H and J: what an operator ends is over, and what an operator sees is no secret.

use serde_json::{Value, json};

use super::case;
use super::websocket::{open, start};
use crate::harness::gateway::{KEY, ROUTES};
use crate::harness::{Config, Gateway, MERCHANT, Recorder, SHOP, Script, tokens};

async fn status(gateway: &Gateway, token: &str, path: &str) -> u16 {
    gateway.get_as(token, path).await.status().as_u16()
}

/// What the gateway tells a caller of itself: openid and unionid.
async fn who(gateway: &Gateway, token: &str) -> (String, String) {
    let answer: Value = gateway.get_as(token, "/session").await.json().await.unwrap();
    let text = |key: &str| answer[key].as_str().unwrap().to_owned();
    (text("openid"), text("unionid"))
}

fn claim(token: &str, name: &str) -> u64 {
    tokens::payload(token)[name].as_u64().unwrap()
}

#[tokio::test]
async fn all_that_a_user_had_is_over_and_what_comes_after_is_not() {
    let _case = case(
        "H06",
        "ending all sessions of an openid ends every token of them, its successors too, and no other user's or app's; a \
         login in the same second is a new session and works",
    );
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(Config::new(recorder.port, ROUTES).with_operator()).await;
    let (bob, merchant) = (gateway.log_in(&SHOP, "bob").await, gateway.log_in(&MERCHANT, "alice").await);
    let mut current = gateway.log_in(&SHOP, "alice").await;
    let openid = who(&gateway, &current).await.0;
    let mut in_the_same_second = 0;
    for _ in 0..5 {
        let other = gateway.log_in(&SHOP, "alice").await;
        // As a renewal would make it: of the same session, later, and not seen yet when the session ends.
        let same = json!({ "sid": tokens::sid(&current), "sub": openid });
        let mut later = same.clone();
        later["iat"] = json!(tokens::now() + 3);
        let successors = [tokens::signed(same), tokens::signed(later)];
        for token in [&current, &other, &successors[0]] {
            assert_eq!(status(&gateway, token, "/api/x").await, 200);
        }
        let ended = gateway.operate("DELETE", &format!("/sessions?app=shop&openid={openid}")).await;
        assert_eq!(ended, (200, json!({ "ended": 2 })));
        let again = gateway.log_in(&SHOP, "alice").await;
        for path in ["/api/x", "/opt/x", "/session"] {
            for token in [&current, &other, &successors[0], &successors[1]] {
                assert_eq!(status(&gateway, token, path).await, 401, "{path}");
            }
            assert_eq!(status(&gateway, &again, path).await, 200, "{path}");
        }
        in_the_same_second += usize::from(claim(&other, "iat") == claim(&again, "iat"));
        current = again;
    }
    assert!(in_the_same_second > 0, "no round fell into one second");
    assert_eq!(status(&gateway, &bob, "/api/x").await, 200);
    assert_eq!(status(&gateway, &merchant, "/merchant/x").await, 200);
}

#[tokio::test]
async fn what_an_operator_ends_is_over_with_the_next_request() {
    let _case = case(
        "H10",
        "a session that an operator ends is refused with the next request, whatever was remembered of its token, on a \
         connection that is already open too, and its WebSocket closes with 1008; there are no roles that could change",
    );
    let (gateway, recorder) = start("[admin]\ntoken = { file = \"admin-token\" }\n", "10m").await;
    let (alice, bob) = (gateway.log_in(&SHOP, "alice").await, gateway.log_in(&SHOP, "bob").await);
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let request = format!("GET /api/x HTTP/1.1\r\nHost: gw.test\r\n{}\r\n", bearer(&alice));
    let mut connection = crate::harness::Connection::open(gateway.port).await;
    for _ in 0..3 {
        assert!(connection.ask(&request).await.starts_with("HTTP/1.1 200"));
    }
    let seen = recorder.seen().len();
    recorder.play(Script::after_body().accept_websocket().silence());
    let mut goes_on = open(&gateway, "/ws", &bearer(&bob)).await;
    let mut ended = open(&gateway, "/ws", &bearer(&alice)).await;
    let path = format!("/sessions/{}", tokens::sid(&alice));
    assert_eq!(gateway.operate("DELETE", &path).await, (200, json!({ "ended": 1 })));
    let refused = connection.ask(&request).await;
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("session_ended"), "{refused}");
    assert_eq!(recorder.seen().len(), seen + 2, "the service saw the two handshakes and nothing else");
    assert_eq!(ended.rest_bytes().await, [0x88, 0x02, 0x03, 0xf0]);
    goes_on.send("still here").await;
    recorder.until(|recorder| recorder.received().iter().any(|bytes| bytes.ends_with(b"still here"))).await;
    assert_eq!(status(&gateway, &bob, "/session").await, 200);
}

#[tokio::test]
async fn a_list_of_sessions_holds_no_secret() {
    let _case = case(
        "J18",
        "whoever lists or shows sessions sees neither a token nor a session_key nor a login code, and no whole openid or \
         unionid but the one they asked by, unless they ask for whole ones",
    );
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(Config::new(recorder.port, ROUTES).with_operator()).await;
    let token = gateway.log_in(&SHOP, "alice").await;
    gateway.log_in(&MERCHANT, "alice").await;
    let (openid, unionid) = who(&gateway, &token).await;
    let sid = tokens::sid(&token);
    for (path, openid_whole, unionid_whole) in [
        (format!("/sessions?app=shop&openid={openid}"), true, false),
        (format!("/sessions?unionid={unionid}"), false, true),
        (format!("/sessions/{sid}"), false, false),
        (format!("/sessions?app=shop&openid={openid}&full=true"), true, true),
        (format!("/sessions?unionid={unionid}&full=true"), true, true),
        (format!("/sessions/{sid}?full=true"), true, true),
        (format!("/sessions/{sid}?full=false"), false, false),
    ] {
        // This has searched the answer for every code, token and key that the tests know.
        let (status, answer) = gateway.operate("GET", &path).await;
        let text = answer.to_string();
        assert!(status == 200 && text.contains(&sid), "{path}: {text}");
        assert_eq!(text.contains(&openid), openid_whole, "{path}: {text}");
        assert_eq!(text.contains(&unionid), unionid_whole, "{path}: {text}");
        // A session_key is 16 bytes in base64, a token has two dots.
        assert!(!text.contains("==") && !text.contains("eyJ") && !text.contains(KEY), "{path}: {text}");
    }
}
