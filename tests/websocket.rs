//! WebSockets through the gateway, to a real WebSocket service.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_hdr_async, connect_async};

use crate::harness::{Config, Gateway, SHOP};

const ROUTES: &str = "[[route]]\npath = \"/chat\"\nupstream = \"service\"\nwebsocket = true\n\
    [[route]]\npath = \"/open\"\nupstream = \"service\"\nwebsocket = true\nauth = \"none\"\n";

/// A chat that greets with the openid it was told and then says back what it hears.
async fn chat() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

#[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
async fn serve(stream: TcpStream) {
    let mut openids = String::new();
    let note = |request: &Request, response: Response| {
        let all = request.headers().get_all("x-wx-openid");
        openids = all.iter().map(|openid| openid.to_str().unwrap()).collect::<Vec<_>>().join(",");
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, note).await else { return };
    let _ = socket.send(Message::text(format!("hello {openids}"))).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(gateway: &Gateway, path: &str, token: Option<&str>) -> Result<Socket, Error> {
    let mut request = format!("ws://127.0.0.1:{}{path}", gateway.port).into_client_request().unwrap();
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request.headers_mut().insert("x-wx-openid", "evil".parse().unwrap());
    Ok(connect_async(request).await?.0)
}

#[tokio::test]
async fn two_thousand_upgrades_all_reach_the_chat() {
    let gateway = Arc::new(Gateway::start(Config::new(chat().await, ROUTES)).await);
    let token = Arc::new(gateway.log_in(&SHOP, "alice").await);
    let talkers = (0..8).map(|talker| {
        let (gateway, token) = (Arc::clone(&gateway), Arc::clone(&token));
        tokio::spawn(async move {
            for n in 0..250 {
                let mut socket = connect(&gateway, "/chat", Some(&token))
                    .await
                    .unwrap_or_else(|e| panic!("{talker} {n}: {e}"));
                let greeting = socket.next().await.expect("a greeting").unwrap().into_text().unwrap();
                assert!(greeting.starts_with("hello o") && !greeting.contains("evil"), "{greeting}");
                let said = format!("{talker} says {n}");
                socket.send(Message::text(said.clone())).await.unwrap();
                let heard =
                    socket.next().await.expect("an echo").unwrap_or_else(|e| panic!("{talker} {n}: {e}"));
                assert_eq!(heard.into_text().unwrap().as_str(), said);
                socket.close(None).await.unwrap();
            }
        })
    });
    for talker in futures_util::future::join_all(talkers).await {
        talker.unwrap();
    }
}

#[tokio::test]
async fn a_large_message_and_a_silent_minute_are_no_trouble() {
    let gateway =
        Gateway::start(Config::new(chat().await, ROUTES).with("[server]\nread_timeout = \"1s\"\n")).await;
    let mut socket = connect(&gateway, "/open", None).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), "hello ");
    let large = vec![7; 4 * 1024 * 1024];
    socket.send(Message::binary(large.clone())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_data(), large);
    // Longer than a request body may be silent: a WebSocket's silence has a limit of its own.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), "still here");
}

#[tokio::test]
async fn a_handshake_without_a_good_token_is_refused_before_the_service_sees_it() {
    let gateway = Gateway::start(Config::new(chat().await, ROUTES)).await;
    for token in [None, Some("garbage")] {
        match connect(&gateway, "/chat", token).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), 401),
            other => panic!("{token:?}: {other:?}"),
        }
    }
}
