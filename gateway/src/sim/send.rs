//! Puts an answer on the wire, or what a fault makes of it. The only file of the simulated API with HTTP statuses:
//! WeChat itself answers every call with 200.

use std::convert::Infallible;
use std::io::{self, Write};
use std::mem;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, Stream, StreamExt};
use http::{HeaderValue, StatusCode, header};

use super::faults::{Fault, Kind};
use super::line::Line;

/// Padding is sent in pieces of this many bytes.
const PADDING_PIECE: &[u8] = &[b'a'; 64 * 1024];

/// An answer ready to be sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) content_type: &'static str,
    /// `None`: the simulator knows nothing to say, because the path is none of WeChat's or the call had no effect.
    pub(super) text: Option<String>,
}

pub(super) async fn send(reply: Reply, fault: Option<Fault>, line: &Line) -> Response {
    let Reply { content_type, text } = reply;
    let ok = |body: Body| response(StatusCode::OK, content_type, body);
    let Some(fault) = fault else {
        return text.map_or_else(unknown_path, |text| ok(text.into()));
    };
    tokio::time::sleep(fault.after).await;
    let text_or_nothing = text.clone().unwrap_or_default();
    match fault.kind {
        Kind::Reset => {
            line.cut();
            ok(Body::empty())
        }
        Kind::Html502 => response(StatusCode::BAD_GATEWAY, "text/html", BAD_GATEWAY.into()),
        Kind::Empty => ok(Body::empty()),
        Kind::NotJson => ok("<xml><return_code><![CDATA[FAIL]]></return_code></xml>".into()),
        Kind::Redirect { location } => redirect(&location),
        Kind::HalfBody => half(ok, &text_or_nothing),
        Kind::Drip { gap } => ok(drip(text_or_nothing, gap)),
        Kind::HugeBody { padding_bytes } => ok(padded(&text_or_nothing, padding_bytes)),
        Kind::GzipBomb { padding_bytes } => {
            let mut response = ok(zipped(&text_or_nothing, padding_bytes));
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
        Kind::Bom => ok(format!("\u{feff}{text_or_nothing}").into()),
        Kind::Busy | Kind::Errcode { .. } | Kind::Slow | Kind::Legacy => {
            text.map_or_else(unknown_path, |text| ok(text.into()))
        }
        Kind::StringErrcode | Kind::ExtraFields | Kind::OldHints => {
            text.map_or_else(unknown_path, |text| ok(text.into()))
        }
    }
}

/// For a body that is too long or broke off. What WeChat does then is not known.
pub(super) fn too_large() -> Response {
    response(
        StatusCode::PAYLOAD_TOO_LARGE,
        "text/plain",
        "wxgate sim: the body is too long or broke off\n".into(),
    )
}

fn unknown_path() -> Response {
    response(
        StatusCode::NOT_FOUND,
        "text/plain",
        "wxgate sim: this path of WeChat's API is not simulated\n".into(),
    )
}

const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

fn response(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn redirect(location: &str) -> Response {
    let mut response = response(StatusCode::FOUND, "text/html", Body::empty());
    // Checked when the fault was scripted; without a location the status alone is still a redirect.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Announces the whole body, sends half of it, then fails, upon which the server closes the connection.
fn half(ok: impl Fn(Body) -> Response, text: &str) -> Response {
    let first = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    let pieces = stream::iter([Ok(Some(first)), Ok(None), Err(io::ErrorKind::ConnectionAborted.into())]);
    let body = pieces.then(async |piece: io::Result<Option<Bytes>>| {
        match piece {
            Ok(Some(bytes)) => Ok(bytes),
            // The server writes out what it has while it waits; without the pause the half would be dropped unsent.
            Ok(None) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(Bytes::new())
            }
            Err(error) => Err(error),
        }
    });
    let mut response = ok(Body::from_stream(Box::pin(body)));
    response.headers_mut().insert(header::CONTENT_LENGTH, text.len().into());
    response
}

fn drip(text: String, gap: Duration) -> Body {
    let bytes = stream::iter(text.into_bytes());
    Body::from_stream(Box::pin(bytes.then(move |byte| async move {
        tokio::time::sleep(gap).await;
        Ok::<_, Infallible>(Bytes::copy_from_slice(&[byte]))
    })))
}

/// `{"padding":"aaa…",` and then the rest of the object: valid JSON to the end, for whoever reads that far. No length
/// is announced, so it cannot be refused by its header.
fn padded(text: &str, padding_bytes: u64) -> Body {
    Body::from_stream(Box::pin(padded_pieces(text, padding_bytes).map(Ok::<_, Infallible>)))
}

/// The same, compressed as it is sent.
fn zipped(text: &str, padding_bytes: u64) -> Body {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let pieces = padded_pieces(text, padding_bytes).map(Some).chain(stream::iter([None]));
    let zipped = pieces.map(move |piece| {
        match piece {
            Some(piece) => encoder.write_all(&piece)?,
            None => encoder.try_finish()?,
        }
        Ok::<_, io::Error>(Bytes::from(mem::take(encoder.get_mut())))
    });
    Body::from_stream(Box::pin(zipped))
}

fn padded_pieces(text: &str, padding_bytes: u64) -> impl Stream<Item = Bytes> + use<> {
    let rest = text.strip_prefix('{').unwrap_or(text);
    let head = stream::iter([Bytes::from_static(b"{\"padding\":\"")]);
    let padding = stream::unfold(padding_bytes, async |left| {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(PADDING_PIECE.len());
        (piece > 0).then(|| (Bytes::from_static(&PADDING_PIECE[..piece]), left - piece as u64))
    });
    let tail = stream::iter([Bytes::from(format!("\",{rest}"))]);
    head.chain(padding).chain(tail)
}
