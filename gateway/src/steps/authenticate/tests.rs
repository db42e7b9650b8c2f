use super::*;

fn sources() -> TokenSources {
    TokenSources { headers: vec![AUTHORIZATION, HeaderName::from_static("x-token")], query: "token".into() }
}

fn found(
    lines: &[(&'static str, &'static str)],
    query: Option<&'static str>,
) -> Result<Option<String>, &'static str> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    sources().find(&headers, query).map(|token| token.map(Cow::into_owned)).map_err(|denied| denied.code())
}

fn some(token: &str) -> Result<Option<String>, &'static str> {
    Ok(Some(token.to_owned()))
}

#[test]
fn a_token_is_found_where_the_config_says() {
    assert_eq!(found(&[("authorization", "Bearer a.b.c")], None), some("a.b.c"));
    assert_eq!(found(&[("authorization", "bearer a.b.c")], None), some("a.b.c"));
    assert_eq!(found(&[("x-token", "a.b.c")], None), some("a.b.c"));
    assert_eq!(found(&[], Some("x=1&token=a.b.c&y=2")), some("a.b.c"));
    assert_eq!(found(&[], Some("token=a%2eb.c")), some("a.b.c"));
    assert_eq!(found(&[("x-other", "a.b.c")], None), Ok(None));
    assert_eq!(found(&[("authorization", "Basic dXNlcjpwYXNz")], None), Ok(None));
    assert_eq!(found(&[], Some("mytoken=a.b.c&tokens=1")), Ok(None));
}

#[test]
fn two_different_tokens_are_ambiguous_and_one_twice_is_not() {
    assert_eq!(found(&[("authorization", "Bearer a"), ("x-token", "a")], Some("token=a")), some("a"));
    assert_eq!(
        found(&[("authorization", "Bearer a"), ("authorization", "Bearer b")], None),
        Err("ambiguous_credentials")
    );
    assert_eq!(found(&[("authorization", "Bearer a"), ("x-token", "b")], None), Err("ambiguous_credentials"));
    assert_eq!(found(&[("authorization", "Bearer a")], Some("token=b")), Err("ambiguous_credentials"));
    assert_eq!(found(&[], Some("token=a&token=b")), Err("ambiguous_credentials"));
}

#[test]
fn an_empty_or_unreadable_token_is_not_an_absent_one() {
    for value in ["Bearer", "Bearer ", "bearer"] {
        assert_eq!(found(&[("authorization", value)], None), Err("token_malformed"), "{value:?}");
    }
    assert_eq!(found(&[("x-token", "")], None), Err("token_malformed"));
    assert_eq!(found(&[("authorization", "Bearer t\u{f6}ken")], None), Err("token_malformed"));
}

#[test]
fn the_token_leaves_the_query_and_nothing_else_does() {
    assert_eq!(sources().strip_query("a=1&token=x&b=%20"), "a=1&b=%20");
    assert_eq!(sources().strip_query("token=x"), "");
    assert_eq!(sources().strip_query("tokens=x&mytoken=y&token"), "tokens=x&mytoken=y&token");
}
