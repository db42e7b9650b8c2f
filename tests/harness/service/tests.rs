use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Duration, OK, TcpStream};
use crate::harness::{Recorder, Script};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx_a: 2\r\n\r\n";
const POST: &str = "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n";

async fn connect(recorder: &Recorder) -> TcpStream {
    TcpStream::connect(("127.0.0.1", recorder.port)).await.unwrap()
}

async fn read(stream: &mut TcpStream, bytes: usize) -> String {
    let mut read = vec![0; bytes];
    stream.read_exact(&mut read).await.unwrap();
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn every_byte_of_every_connection_is_kept() {
    let recorder = Recorder::start().await;
    let (mut one, mut two) = (connect(&recorder).await, connect(&recorder).await);
    one.write_all(format!("{GET}{POST}GET /unfinished").as_bytes()).await.unwrap();
    assert!(read(&mut one, 2 * OK.len()).await.ends_with("{\"ok\":true}"));
    two.write_all(b"no request").await.unwrap();
    recorder.until(|recorder| recorder.received().concat().len() == GET.len() + POST.len() + 25).await;
    let mut received = recorder.received();
    received.sort();
    assert_eq!(received, [format!("{GET}{POST}GET /unfinished").into_bytes(), b"no request".to_vec()]);
    let seen = recorder.seen();
    assert_eq!((seen.len(), recorder.connections()), (2, 2));
    assert_eq!(seen[0].folded()["X_A"], "1, 2");
    assert_eq!((&*seen[1].body, &*seen[1].trailers), (&b"abc"[..], "T: 1\r\n"));
    drop(one);
    recorder.until(|recorder| recorder.ended() == 1).await;
}

#[tokio::test]
async fn a_script_is_played_step_by_step() {
    let recorder = Recorder::start().await;
    let moment = Duration::from_millis(1);
    recorder.play_once(Script::after_head().send("early").wait(moment));
    recorder.play_once(Script::after_body().accept_websocket().wait_for_bytes(5).send("heard").close());
    recorder.play_once(Script::after_body().reset());
    recorder.play(Script::after_body().silence());
    let mut stream = connect(&recorder).await;
    stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut stream, 5).await, "early");
    stream.write_all(b"ab").await.unwrap();
    recorder.until(|recorder| recorder.last().body == b"ab").await;
    // The handshake of RFC 6455 §1.3.
    stream.write_all(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.write_all(b"frame").await.unwrap();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nheard"), "{answer}");

    let mut stream = connect(&recorder).await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    let ended = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionReset);

    let mut stream = connect(&recorder).await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    recorder.until(|recorder| recorder.received().last().is_some_and(|bytes| bytes == GET.as_bytes())).await;
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}
