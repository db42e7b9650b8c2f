//! What must hold of every byte of a connection.

use std::sync::LazyLock;
use std::task::Waker;

use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::runtime::Runtime;

use super::*;

const LIMITS: HeadLimits = HeadLimits { timeout: Duration::from_secs(3600), bytes_max: 4096 };

/// One connection's requests, as they were read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reading {
    /// Where each request begins, its body begins, and it ends.
    requests: Vec<(usize, usize, usize)>,
    /// Of the request after those, if its head was taken and its body did not come to its end.
    begun: Option<(usize, usize)>,
    refusal: Option<Refusal>,
}

/// Reads the length of the pieces, a byte, and then what a client sends over one connection. Then:
/// - heads and chunked bodies read piece by piece end where they end when read at once, and are refused for the same reason;
/// - `httparse`, as strict as it comes, reads in a head that was taken the method, target, version and fields that stand on
///   its lines, and the same end;
/// - such a head has one `Host`, and by RFC 9112 §6.3 the very length that was found; where two lengths could be read, none is;
/// - a chunked body ends where a decoder of a few lines finds its end, and only there;
/// - what the front hands on, in any pieces, is the requests byte for byte in their order, and behind them what stands for a
///   refused one, or as much as came of an unfinished body.
pub fn front(data: &[u8]) {
    let Some((&piece, wire)) = data.split_first() else { return };
    let piece = usize::from(piece) + 1;
    let reading = read(wire, usize::MAX);
    assert_eq!(read(wire, piece), reading, "read in pieces of {piece} it is another");
    for &(start, body, end) in &reading.requests {
        check_request(&wire[start..body], &wire[body..end], &wire[body..], true);
    }
    if let (Some((start, body)), None) = (reading.begun, reading.refusal) {
        check_request(&wire[start..body], &wire[body..], &wire[body..], false);
    }
    check_stream(wire, piece, &reading);
}

/// Reads request after request, and at most so many bytes more at a time.
fn read(wire: &[u8], piece: usize) -> Reading {
    let mut reading = Reading::default();
    let mut start = 0;
    loop {
        let complete = match read_head(&wire[start..], piece) {
            Ok(Some(complete)) => complete,
            Ok(None) => return reading,
            Err(refusal) => return Reading { refusal: Some(refusal), ..reading },
        };
        let body = start + complete.bytes;
        match read_body(complete.body, &wire[body..], piece) {
            Ok(Some(bytes)) => reading.requests.push((start, body, body + bytes)),
            Ok(None) => return Reading { begun: Some((start, body)), ..reading },
            Err(refusal) => return Reading { begun: Some((start, body)), refusal: Some(refusal), ..reading },
        }
        start = reading.requests.last().map_or(start, |request| request.2);
    }
}

fn read_head(bytes: &[u8], piece: usize) -> Result<Option<head::Complete>, Refusal> {
    let mut head = Head::default();
    let mut came = 0;
    while came < bytes.len() {
        came = came.saturating_add(piece).min(bytes.len());
        if let Some(complete) = head.read(&bytes[..came])? {
            return Ok(Some(complete));
        }
    }
    Ok(None)
}

/// How long the body is, if its end is there.
fn read_body(framing: Framing, bytes: &[u8], piece: usize) -> Result<Option<usize>, Refusal> {
    let mut chunked = match framing {
        Framing::Length(length) => {
            return Ok(usize::try_from(length).ok().filter(|length| *length <= bytes.len()));
        }
        Framing::Chunked => Chunked::default(),
    };
    let mut own = 0;
    for piece in bytes.chunks(piece.min(bytes.len().max(1))) {
        own += chunked.read(piece)?;
        if chunked.is_done() {
            return Ok(Some(own));
        }
    }
    Ok(None)
}

/// `body` is what was taken for the body, and `behind` all that follows the head.
fn check_request(head: &[u8], body: &[u8], behind: &[u8], ended: bool) {
    match check_head(head) {
        Framing::Length(length) if ended => assert_eq!(body.len() as u64, length),
        Framing::Length(length) => assert!((behind.len() as u64) < length),
        Framing::Chunked if ended => assert_eq!(chunked_length(behind), Some(body.len())),
        Framing::Chunked => assert_eq!(chunked_length(behind), None),
    }
}

/// What `httparse` and the lines themselves say of a head, and the length that they say its body has.
fn check_head(head: &[u8]) -> Framing {
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(head), Ok(httparse::Status::Complete(head.len())));
    let lines = head.strip_suffix(b"\r\n\r\n").expect("a head ends with its empty line");
    let mut lines = lines.strip_prefix(b"\r\n").unwrap_or(lines).split(|byte| *byte == b'\n');
    let first = lines.next().map(|line| line.strip_suffix(b"\r").unwrap_or(line)).unwrap_or_default();
    let version = request.version.expect("a version");
    let parsed =
        format!("{} {} HTTP/1.{version}", request.method.expect("a method"), request.path.expect("a path"));
    assert_eq!(parsed.as_bytes(), first);
    let lines: Vec<_> = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    assert_eq!(lines.len(), request.headers.len());
    for (line, field) in lines.iter().zip(&*request.headers) {
        let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
        assert_eq!(field.name.as_bytes(), &line[..colon]);
        assert_eq!(field.value.trim_ascii(), line[colon + 1..].trim_ascii());
        assert!(!line.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
    }
    let values = |name: &str| {
        let of_name = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        of_name
            .map(|field| std::str::from_utf8(field.value).expect("a plain value").trim())
            .collect::<Vec<_>>()
    };
    assert_eq!(values("host").len(), 1);
    match (&values("transfer-encoding")[..], &values("content-length")[..]) {
        ([], []) => Framing::Length(0),
        ([], [length]) => {
            let length: u64 = length.parse().expect("a length");
            assert_eq!(values("content-length"), [length.to_string()]);
            Framing::Length(length)
        }
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") && version == 1 => Framing::Chunked,
        lengths => panic!("two lengths: {lengths:?}"),
    }
}

/// How long a chunked body is (RFC 9112 §7.1), if its end is there.
fn chunked_length(body: &[u8]) -> Option<usize> {
    let line_end = |from: usize| Some(from + body.get(from..)?.windows(2).position(|two| two == b"\r\n")?);
    let mut at = 0;
    loop {
        let end = line_end(at)?;
        let digits = body[at..end].split(|byte| *byte == b';').next()?;
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        at = end + 2;
        if size == 0 {
            break;
        }
        at = at.checked_add(size)?;
        if body.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    loop {
        let end = line_end(at)?;
        let is_last = end == at;
        at = end + 2;
        if is_last {
            return Some(at);
        }
    }
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// Sends `wire` in pieces through a front whose proxy says at once of each request that it is over.
fn check_stream(wire: &[u8], piece: usize, reading: &Reading) {
    let _entered = RUNTIME.enter();
    let (mut client, io) = tokio::io::duplex(wire.len().max(1));
    let mut front = Front::new(Box::new(io), LIMITS);
    let mut handed_on = Vec::new();
    for piece in wire.chunks(piece) {
        send(&mut client, piece);
        if !drain(&mut front, &mut handed_on) {
            break;
        }
    }
    let refused = *front.refusal.get_mut();
    let requests = reading.requests.last().map_or(0, |request| request.2);
    // The front has a limit that its parts have not, and may come upon it before they come upon theirs.
    if refused == Refusal::TooLarge as u8 {
        let own = handed_on.strip_suffix(REFUSED_HEAD).expect("what stands for a refused head");
        let whole = own.is_empty() || reading.requests.iter().any(|request| request.2 == own.len());
        assert!(whole && wire.starts_with(own), "{}", handed_on.escape_ascii());
        return;
    }
    assert_eq!(refused, reading.refusal.map_or(0, |refusal| refusal as u8));
    let expected = match (reading.begun, reading.refusal) {
        (None, None) => wire[..requests].to_vec(),
        (None, Some(_)) => [&wire[..requests], REFUSED_HEAD].concat(),
        (Some(_), None) => wire.to_vec(),
        // As much of the body as came before the piece that is wrong; nothing of a request that is wrong from the start.
        (Some((start, body)), Some(_)) => {
            let whole = handed_on.len() >= body && wire.starts_with(&handed_on);
            let none = handed_on == [&wire[..start], REFUSED_HEAD].concat();
            assert!(whole || none, "{}", handed_on.escape_ascii());
            return;
        }
    };
    assert_eq!(handed_on.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

fn send(client: &mut DuplexStream, bytes: &[u8]) {
    let mut sent = std::pin::pin!(client.write_all(bytes));
    let sent = sent.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(sent, Poll::Ready(Ok(()))), "the pipe has room for all");
}

/// Reads until more must come; says whether more can.
fn drain(front: &mut Front, handed_on: &mut Vec<u8>) -> bool {
    let mut space = [0; 64];
    loop {
        if front.released == 0 {
            front.word.fetch_or(word::OVER, Ordering::Relaxed);
        }
        let mut buf = ReadBuf::new(&mut space);
        let read = Pin::new(&mut *front).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
        handed_on.extend_from_slice(buf.filled());
        match read {
            // What is between two requests says nothing when it begins the next head.
            Poll::Pending if matches!(front.at, At::Between) && !front.held.is_empty() => {}
            Poll::Pending => return true,
            Poll::Ready(Err(_)) => return false,
            Poll::Ready(Ok(())) if matches!(front.at, At::Refused) && front.released == 0 => return false,
            Poll::Ready(Ok(())) => assert!(!buf.filled().is_empty(), "the end came before the end"),
        }
    }
}
