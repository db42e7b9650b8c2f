//! Group D: where one request ends and the next begins has one answer, for the gateway and for the service.

mod answers;
mod published;

use super::case;
use crate::harness::gateway::ROUTES;
use crate::harness::{Config, Gateway, Recorder, exchange_all, exchange_and_follow, h2};

/// Closes the connection, so that whatever was answered before can be counted.
pub(in crate::security) const LAST: &str =
    "GET /public/last HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n";

/// The statuses of all answers on one connection, in order.
pub(in crate::security) fn statuses(answers: &str) -> Vec<u16> {
    let lines = answers.split("HTTP/1.1 ").skip(1);
    lines.map(|answer| answer[..3].parse().unwrap()).collect()
}

/// The requests that the service saw, in order.
pub(super) fn targets(recorder: &Recorder) -> Vec<String> {
    recorder.seen().iter().map(|seen| seen.target().to_owned()).collect()
}

/// Each input is refused with `status`, and neither it nor what follows it is answered or reaches the service: whether it
/// follows at once or after the refusal.
async fn refused(gateway: &Gateway, recorder: &Recorder, status: u16, inputs: &[&str]) {
    let before = recorder.seen().len();
    for input in inputs {
        let bytes: Vec<u8> = latin1(input);
        let answers = exchange_all(gateway.port, [&bytes, LAST.as_bytes()].concat()).await;
        assert_eq!(statuses(&answers), [status], "{input:?}: {answers}");
        assert!(answers.contains("\r\nX-Wxgate-Error: "), "{input:?}: {answers}");
        let (answer, followed) = exchange_and_follow(gateway.port, &bytes, LAST).await;
        assert_eq!((statuses(&answer), followed.as_str()), (vec![status], ""), "{input:?}: {answer}");
        assert_eq!(recorder.seen().len(), before, "{input:?} reached the service");
    }
}

/// `\u{80}` to `\u{ff}` as single bytes.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /public/x HTTP/1.1\r\nHost: gw.test\r\n{fields}\r\n{body}")
}

#[tokio::test]
async fn a_request_has_one_length() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    {
        let _case =
            case("D03", "Content-Length beside Transfer-Encoding has two readings: the request is refused");
        let smuggled = "0\r\n\r\nGET /internal/x HTTP/1.1\r\nHost: gw.test\r\n\r\n";
        let inputs = [
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", smuggled),
            post("Transfer-Encoding: chunked\r\ncontent-length: 5\r\n", smuggled),
        ];
        refused(&gateway, &recorder, 400, &inputs.each_ref().map(String::as_str)).await;
    }
    {
        let _case = case("D04", "a Content-Length is one plain number, once: anything else is refused");
        let values = [
            "",
            "+5",
            "5,5",
            "5, 6",
            "0x5",
            "-1",
            "010",
            "1Z",
            "1_0",
            "99999999999999999999",
            "5 5",
            "\"5\"",
        ];
        let mut inputs = values.map(|value| post(&format!("Content-Length: {value}\r\n"), "hello")).to_vec();
        for second in ["5", "6", "0", ""] {
            inputs.push(post(&format!("Content-Length: 5\r\nContent-Length: {second}\r\n"), "hello"));
        }
        refused(&gateway, &recorder, 400, &inputs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
}

#[tokio::test]
async fn a_body_is_chunked_or_it_is_not() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let with = |values: &[&str]| -> Vec<String> {
        let fields = values.iter().map(|value| format!("Transfer-Encoding: {value}\r\n"));
        fields.map(|field| post(&field, "0\r\n\r\n")).collect()
    };
    let all = async |inputs: &[String]| {
        refused(&gateway, &recorder, 400, &inputs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    };
    {
        let _case = case(
            "D05",
            "a list of transfer codings that ends in chunked is refused: not every reader looks at the last",
        );
        all(&with(&["gzip, chunked", "x, chunked", ",chunked", "chunked, chunked"])).await;
    }
    {
        let _case = case(
            "D06",
            "a transfer coding that is not chunked is refused: its body has no end that all agree on",
        );
        all(&with(&["chunked, gzip", "identity", "x", "chunked;q=1", "chunked,", "\"chunked\"", ""])).await;
    }
    {
        let _case =
            case("D07", "Transfer-Encoding comes once: of two lines some read the first and some the last");
        let pairs = [("chunked", "chunked"), ("identity", "chunked"), ("chunked", "identity")];
        all(&pairs.map(|(one, two)| {
            post(&format!("Transfer-Encoding: {one}\r\nTransfer-Encoding: {two}\r\n"), "0\r\n\r\n")
        }))
        .await;
    }
    {
        let _case =
            case("D08", "a Transfer-Encoding that is written oddly is refused, not repaired or overlooked");
        all(&[
            post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding:\u{b}chunked\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding: \u{a0}chunked\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
            post("\u{b}Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ])
        .await;
    }
    {
        let _case = case("D09", "HTTP/1.0 knows no chunks: a request that has them there is refused");
        all(&[with(&["chunked"])[0].replacen("HTTP/1.1", "HTTP/1.0", 1)]).await;
    }
}

#[tokio::test]
async fn chunks_are_read_strictly() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let all = async |bodies: &[&str]| {
        let inputs: Vec<_> = bodies.iter().map(|body| chunked(body)).collect();
        refused(&gateway, &recorder, 400, &inputs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    };
    {
        let _case = case(
            "D13",
            "a chunk's size is 1 to 15 hex digits and nothing else: no sign, no blank, no prefix, not nothing",
        );
        all(&[
            "\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "-0\r\n\r\n",
            "5 5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "5\t;a\r\nhello\r\n0\r\n\r\n",
            "1_0\r\n",
            "00000000000000005\r\nhello\r\n0\r\n\r\n",
            "zz\r\n",
        ])
        .await;
    }
    {
        let _case = case(
            "D14",
            "a line feed without its carriage return ends no chunk line, not even inside an extension",
        );
        all(&[
            "5\nhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5\r\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "0\r\n\n",
            "0\n\r\n",
        ])
        .await;
    }
    {
        let _case = case("D15", "a chunk is as long as it says, and extensions and trailers have a limit");
        let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(16 << 10));
        let trailer = format!("0\r\nX-A: {}\r\n\r\n", "x".repeat(100 << 10));
        all(&[
            "4\r\nhello\r\n0\r\n\r\n",
            "6\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            &extension,
            &trailer,
        ])
        .await;
    }
    {
        let _case = case(
            "D11",
            "a GET with a chunked body is passed on whole and framed anew, and what follows is itself",
        );
        let answers = exchange_all(
            gateway.port,
            format!(
                "{}{LAST}",
                chunked("5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n").replacen("POST", "GET", 1)
            ),
        )
        .await;
        assert_eq!(statuses(&answers), [200, 200], "{answers}");
        let seen = recorder.seen();
        assert_eq!(
            (seen[0].body.as_slice(), seen[0].all("transfer-encoding")),
            (&b"hello!"[..], vec!["chunked"])
        );
        assert_eq!(targets(&recorder), ["/public/x", "/public/last"]);
    }
}

#[tokio::test]
async fn a_body_that_breaks_late_breaks_the_request_and_never_becomes_another() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(Config::new(recorder.port, ROUTES)).await;
    let mut client = crate::harness::Connection::open(gateway.port).await;
    client.send(post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n")).await;
    // The service has the request's beginning when its end goes wrong.
    recorder.until(|recorder| String::from_utf8_lossy(&recorder.received().concat()).contains("hello")).await;
    client.send(format!("zz\r\nGET /internal/x HTTP/1.1\r\nHost: gw.test\r\n\r\n{LAST}")).await;
    let answers = client.rest().await;
    assert_eq!(statuses(&answers), [400], "{answers}");
    assert!(answers.contains("bad_framing"), "{answers}");
    assert!(recorder.seen().is_empty(), "the service was given a whole request: {:?}", recorder.seen());
}

#[tokio::test]
async fn a_head_is_read_as_the_specification_writes_it() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    {
        let _case = case(
            "D12",
            "any version but HTTP/1.1 and HTTP/1.0 is refused, also one that only begins like them",
        );
        let versions = [
            "HTTP/1.32",
            "HTTP/2.0",
            "HTTP/0.9",
            "HTTP/1.1x",
            "HTTP/1.",
            "http/1.1",
            "HTTP/01.1",
            "HTTP/1.1 ",
        ];
        let inputs = versions.map(|version| format!("GET /public/x {version}\r\nHost: gw.test\r\n\r\n"));
        refused(&gateway, &recorder, 400, &inputs.each_ref().map(String::as_str)).await;
        refused(&gateway, &recorder, 400, &["GET /public/x\r\nHost: gw.test\r\n\r\n"]).await;
    }
    {
        let _case = case(
            "D16",
            "a bare line feed ends no line of a head: what one reader takes for a value is a header to another",
        );
        refused(
            &gateway,
            &recorder,
            400,
            &[
                "GET /public/x HTTP/1.1\nHost: gw.test\n\n",
                "GET /public/x HTTP/1.1\r\nHost: gw.test\n\r\n",
                "GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\n",
                "GET /public/x HTTP/1.1\r\nHost: gw.test\r\nX-A: b\nX-WX-OPENID: evil\r\n\r\n",
            ],
        )
        .await;
    }
    {
        let _case = case("D18", "a request names its host once, and the name is a host");
        let hosts = [
            "",
            "Host: a\r\nHost: b\r\n",
            "Host: gw.test\r\nHost: gw.test\r\n",
            "Host:\r\n",
            "Host: gw.test/x\r\n",
            "Host: gw test\r\n",
            "Host: a,b\r\n",
            "Host: gw.test@evil\r\n",
        ];
        let inputs = hosts.map(|host| format!("GET /public/x HTTP/1.1\r\n{host}\r\n"));
        refused(&gateway, &recorder, 400, &inputs.each_ref().map(String::as_str)).await;
    }
    {
        let _case = case("D24", "HTTP/2 without TLS is not spoken: neither by its preface nor by an upgrade");
        refused(&gateway, &recorder, 400, &["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0"]).await;
        let upgrade = "GET /public/x HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                       Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
        let answers = exchange_all(gateway.port, format!("{upgrade}{LAST}")).await;
        assert_eq!(statuses(&answers), [200, 200], "{answers}");
        let seen = &recorder.seen()[0];
        assert!(seen.all("upgrade").is_empty() && seen.all("http2-settings").is_empty(), "{}", seen.head);
    }
}

#[tokio::test]
async fn what_follows_a_request_is_itself() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    {
        let _case = case(
            "D01",
            "an Upgrade that nobody asked for opens no tunnel: the request hidden behind it is judged as any other",
        );
        let input = "GET /public/x HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n\
                     GET /internal/x HTTP/1.1\r\nHost: gw.test\r\n\r\n";
        let answers = exchange_all(gateway.port, format!("{input}{LAST}")).await;
        assert_eq!(statuses(&answers), [200, 403, 200], "{answers}");
        assert!(recorder.seen()[0].all("upgrade").is_empty());
        assert_eq!(targets(&recorder), ["/public/x", "/public/last"]);
    }
    {
        let _case = case(
            "D10",
            "an HTTP/1.0 request without a length has no body: the bytes behind it are nobody's request",
        );
        let input = "POST /public/old HTTP/1.0\r\nHost: gw.test\r\n\r\nGET /internal/x HTTP/1.1\r\nHost: gw.test\r\n\r\n";
        let answers = exchange_all(gateway.port, format!("{input}{LAST}")).await;
        assert_eq!(statuses(&answers), [200], "{answers}");
        assert_eq!(recorder.last().body, b"");
        assert_eq!(recorder.last().target(), "/public/old");
    }
    {
        let _case = case("D23", "pipelined requests are answered in turn, each by its own credentials");
        let get = |path: &str, token: &str| format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\n{token}\r\n");
        let token = gateway.log_in(&crate::harness::SHOP, "alice").await;
        let bearer = format!("Authorization: Bearer {token}\r\n");
        let input = [
            get("/public/1", ""),
            get("/api/2", ""),
            get("/api/3", &bearer),
            get("/api/4", ""),
            get("/public/5", &bearer),
        ];
        let before = recorder.seen().len();
        let answers = exchange_all(gateway.port, format!("{}{LAST}", input.concat())).await;
        assert_eq!(statuses(&answers), [200, 401, 200, 401, 200, 200], "{answers}");
        assert_eq!(targets(&recorder)[before..], ["/public/1", "/api/3", "/public/5", "/public/last"]);
        let knows: Vec<_> =
            recorder.seen()[before..].iter().map(|seen| seen.all("x-wx-openid").len()).collect();
        assert_eq!(knows, [0, 1, 0, 0]);
    }
}

#[tokio::test]
async fn a_refused_request_takes_nothing_with_it() {
    let (gateway, recorder) = Gateway::with_tls_before_recorder().await;
    {
        let _case = case(
            "D20",
            "the body of a refused upload is thrown away or ends the connection: it is never read as a request",
        );
        let body = "GET /public/smuggled HTTP/1.1\r\nHost: gw.test\r\n\r\n".repeat(20_000);
        let head = format!("POST /api/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {}\r\n\r\n", body.len());
        let answers = exchange_all(gateway.port, format!("{head}{body}{LAST}")).await;
        assert_eq!(statuses(&answers)[0], 401, "{answers}");
        assert!(matches!(statuses(&answers)[1..], [] | [200]), "{answers}");
        assert!(targets(&recorder).iter().all(|target| target == "/public/last"), "{:?}", targets(&recorder));
    }
    {
        let _case = case(
            "D22",
            "who may not pass is told so before sending the body, and an expectation that nobody meets is refused",
        );
        let expects = |path: &str, what: &str| {
            format!("POST {path} HTTP/1.1\r\nHost: gw.test\r\nExpect: {what}\r\nContent-Length: 5\r\n\r\n")
        };
        let before = recorder.seen().len();
        let answers = exchange_all(gateway.port, expects("/api/x", "100-continue")).await;
        assert_eq!(statuses(&answers), [401], "{answers}");
        let answers = exchange_all(gateway.port, expects("/public/x", "foo")).await;
        assert_eq!(statuses(&answers), [417], "{answers}");
        assert_eq!(recorder.seen().len(), before);
    }
    {
        let _case = case("D17", "CONNECT is refused, with whatever comes along: this is no tunnel");
        let connections = recorder.connections();
        refused(
            &gateway,
            &recorder,
            405,
            &[
                "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n",
                "CONNECT gw.test:443 HTTP/1.1\r\nHost: gw.test:443\r\n\r\nGET /internal/x HTTP/1.1\r\nHost: gw.test\r\n\r\n",
                "CONNECT /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n",
            ],
        )
        .await;
        let connect = http::Request::builder().method("CONNECT").uri("other:443").body(()).unwrap();
        let answer = h2::Client::connect(&gateway).await.request(connect, None, &[]).await;
        assert!(answer.is_err() || answer.unwrap().status == 405);
        assert_eq!(recorder.connections(), connections);
    }
}
