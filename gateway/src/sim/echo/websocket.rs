//! WebSocket echo: every message comes back. The text `headers` brings the head of the handshake as JSON instead.

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::mirror::show_head;

/// Longest message, in bytes; a longer one ends the connection.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) async fn echo(request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    let mut upgrade = match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
        Ok(upgrade) => upgrade.max_message_size(MESSAGE_BYTES_MAX),
        Err(refused) => return refused.into_response(),
    };
    // A client that offers subprotocols fails unless one is chosen: the first, as a token is commonly sent second.
    let first = upgrade.requested_protocols().next().cloned();
    if let Some(first) = first {
        upgrade.set_selected_protocol(first);
    }
    let head = show_head(&head);
    upgrade.on_upgrade(move |socket| talk(socket, head))
}

async fn talk(mut socket: WebSocket, head: Value) {
    while let Some(Ok(message)) = socket.recv().await {
        let answer = match message {
            Message::Text(text) if text.as_str() == "headers" => Message::text(head.to_string()),
            Message::Text(_) | Message::Binary(_) => message,
            // Answered by the library.
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return,
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}
