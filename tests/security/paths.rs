//! Group A: the path that decides is the path that is sent on. What has two readings is refused.

use super::case;
use super::fixture::Fixture;

#[tokio::test]
async fn dot_segments_and_hidden_slashes_are_refused() {
    for front in Fixture::in_both_orders().await {
        {
            let _case = case(
                "A01",
                "a path with `..` is refused: the gateway and the service could resolve it to two places",
            );
            front.refuses(["/public/../api/secret"]).await;
        }
        {
            let _case = case("A02", "a dot segment is one in every spelling: dots may be percent-encoded");
            let spelled =
                ["/public/%2e%2e/api/secret", "/public/.%2e/api/secret", "/public/%2E./api", "/public/%2e/x"];
            front.refuses(spelled).await;
        }
        {
            let _case = case(
                "A03",
                "an encoded slash is refused everywhere: some services split segments after decoding",
            );
            front.refuses(["/public/..%2fapi/secret", "/public%2f..%2fapi%2fsecret", "/public/a%2Fb"]).await;
        }
        {
            let _case = case("A04", "what is encoded twice is refused: some services decode twice");
            let twice = [
                "/public/%252e%252e/api/secret",
                "/public/%25%32%65%25%32%65/",
                "/public/%252f",
                "/public/%255c",
            ];
            front.refuses(twice).await;
        }
        {
            let _case =
                case("A05", "a backslash is refused, raw or encoded: some services take it for a slash");
            front.refuses(["/public/..\\api\\secret", "/public/..%5capi", "/public\\..\\api"]).await;
        }
        {
            let _case = case(
                "A14",
                "an empty segment is refused: some services collapse it and then see another path",
            );
            front.refuses(["//api/secret", "/api//secret", "///internal", "/public//internal"]).await;
        }
    }
}

#[tokio::test]
async fn bytes_that_belong_in_no_path_are_refused() {
    for front in Fixture::in_both_orders().await {
        {
            let _case = case("A16", "control characters are refused however they are encoded");
            let control = ["/public/%00", "/public/%0d%0aX-WX-OPENID:%20evil", "/public/%09", "/public/%7f"];
            front.refuses(control).await;
        }
        {
            let _case =
                case("A17", "a `%` without two hex digits is refused: services disagree about its meaning");
            front.refuses(["/api/%", "/api/%2", "/api/%zz", "/public/%u002e"]).await;
        }
        {
            let _case = case("A18", "bytes that are not UTF-8 are refused, raw or encoded");
            front.refuses([&b"/public/\xff\xfe"[..], b"/public/%ff", b"/public/\xc3\x28"]).await;
            front.refuses(["/public/\u{4e2d}", "/public/%c3%28"]).await;
        }
        {
            let _case = case("A19", "overlong UTF-8 is refused: it is a hidden dot or slash");
            front.refuses(["/public/%c0%ae%c0%ae/api", "/public/%e0%80%af"]).await;
        }
    }
}
