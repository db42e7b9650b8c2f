//! Group A: what a route's pattern matches, and what is left of a path once its prefix is stripped.

use super::case;
use super::fixture::Fixture;

#[tokio::test]
async fn a_pattern_matches_whole_segments_and_literally() {
    for front in Fixture::in_both_orders().await {
        {
            let _case = case("A08", "a prefix ends at a slash: `/publicadmin` is not below `/public`");
            let beside = ["/publicadmin", "/public-admin", "/apiary", "/internalx", "/public.json"];
            for target in beside {
                front.holds(&[(target, 404, None)]).await;
                front.holds_for_alice(&[(target, 404, None)]).await;
            }
        }
        {
            let _case = case("A12", "paths are compared with their case, encoded or not");
            front.holds_for_alice(&[("/API/secret", 404, None), ("/%41pi/secret", 404, None)]).await;
            front
                .holds(&[("/Internal", 404, None), ("/%49nternal", 404, None), ("/Public", 404, None)])
                .await;
            front.refuses(["/ADMIN%2fpanel"]).await;
        }
        {
            let _case = case(
                "A13",
                "an encoded letter is decoded before the routes are looked up, and the service gets it decoded",
            );
            front
                .holds(&[
                    ("/%61pi/secret", 401, None),
                    ("/int%65rnal", 403, None),
                    ("/publi%63/x", 200, Some("/public/x")),
                    ("/%70ublic", 200, Some("/public")),
                    ("/public/%e4%b8%ad", 200, Some("/public/%E4%B8%AD")),
                ])
                .await;
        }
        {
            let _case = case("A15", "no ending of a closed path opens it");
            front
                .holds(&[
                    ("/internal/", 403, None),
                    ("/internal/.", 400, None),
                    ("/internal.", 404, None),
                    ("/internal%20", 404, None),
                    ("/internal/%20", 403, None),
                    ("/internal.json", 404, None),
                ])
                .await;
        }
        {
            let _case = case("A23", "pattern characters in a request are literals: they match no pattern");
            front
                .holds(&[
                    ("/public/*", 200, Some("/public/*")),
                    ("/item/*", 200, Some("/item/*")),
                    ("/item/{id}", 200, Some("/item/%7Bid%7D")),
                    ("/{id}", 404, None),
                    ("/:id", 404, None),
                    ("/*", 404, None),
                    ("/**", 404, None),
                ])
                .await;
        }
        {
            let _case = case("A24", "a pattern covers the whole canonical path, from its start to its end");
            front
                .holds(&[
                    ("/item/abc", 200, Some("/item/abc")),
                    ("/item/abc%0a", 400, None),
                    ("/item/abc\n", 400, None),
                    ("/item/abc/../x", 400, None),
                    ("/item/abc/x", 404, None),
                    ("/item/", 404, None),
                    ("/ITEM/abc", 404, None),
                    ("/xx/item/abc", 404, None),
                ])
                .await;
        }
    }
}

#[tokio::test]
async fn path_parameters_open_nothing() {
    let _case = case(
        "A06",
        "what stands behind `;` leads no request past a rule: some services cut it off before they look",
    );
    for front in Fixture::in_both_orders().await {
        let cut_to_dots_or_nothing = [
            "/public/..;/api/secret",
            "/public/..;a=b/api/secret",
            "/public/..%3b/api/secret",
            "/user/..;foo=bar/internal",
            "/public/;x/internal",
            "/public/%3Bx/internal",
        ];
        front.refuses(cut_to_dots_or_nothing).await;
        front
            .holds(&[
                ("/internal;x=1", 404, None),
                ("/internal;/x", 404, None),
                ("/public/internal;x=1/y", 404, None),
                ("/public/internal%3bx=1/y", 404, None),
                ("/public/a;x=1/b;", 200, Some("/public/a;x=1/b;")),
                ("/public/;jsessionid=1", 200, Some("/public/;jsessionid=1")),
            ])
            .await;
        front.holds_for_alice(&[("/api;x=1/secret", 404, None), ("/api%3Bx=1/secret", 404, None)]).await;
    }
}

#[tokio::test]
async fn a_stripped_path_is_canonical_again() {
    for front in Fixture::in_both_orders().await {
        {
            let _case = case(
                "A07",
                "what is left of a path without its prefix starts with a slash and leads nowhere else",
            );
            front
                .holds_for_alice(&[
                    ("/strip", 200, Some("/")),
                    ("/strip/", 200, Some("/")),
                    ("/st%72ip/admin?x=1", 200, Some("/admin?x=1")),
                    ("/strip../admin", 404, None),
                    ("/strip%2e%2e/admin", 404, None),
                    ("/strip/..%2fadmin", 400, None),
                    ("/strip/../admin", 400, None),
                    ("/strip//admin", 400, None),
                    ("/strip/%2fadmin", 400, None),
                    ("/st%72ip/a%2Fb", 400, None),
                    ("/strip/;/admin", 400, None),
                ])
                .await;
            front.holds(&[("/strip/admin", 401, None)]).await;
        }
        {
            let _case = case(
                "A25",
                "a rewritten path cannot become another path: its prefix goes once, and escapes stay escapes",
            );
            front
                .holds_for_alice(&[
                    ("/strip/foo..", 200, Some("/foo..")),
                    ("/strip/strip/x", 200, Some("/strip/x")),
                    ("/strip/a%3fb?c", 200, Some("/a%3Fb?c")),
                    ("/strip/a%23b", 200, Some("/a%23b")),
                    ("/strip/..", 400, None),
                    ("/strip/%2e%2e", 400, None),
                    ("/strip/a%2f..%2fb", 400, None),
                ])
                .await;
        }
    }
}
