use std::sync::Arc;
use std::time::Duration;

use auth_core::verify::Verified;
use auth_core::{AppId, Caller, OpenId, Sid};

use super::*;
use crate::config::PathPattern;
use crate::steps::authenticate::Prepared;

fn route(auth: Auth, apps: Option<Vec<usize>>) -> Route {
    Route {
        name: "r".into(),
        hosts: vec![],
        path: PathPattern { text: "/r".into(), segments: vec![], prefix: false },
        methods: vec![],
        upstream: Some(3),
        auth,
        apps,
        websocket: false,
        strip_prefix: None,
        rate: None,
        body_bytes_max: 0,
        token_in_query: false,
        renew: false,
        forward_token: false,
        on_store_down: OnStoreDown::Allow,
    }
}

fn caller(app: usize) -> Authenticated {
    let apps = ["wx1111111111111111", "wx2222222222222222"].map(|appid| AppId::parse(appid).unwrap());
    let caller = Caller {
        app: apps[app].clone(),
        openid: OpenId::parse("oA").unwrap(),
        unionid: None,
        sid: Sid::from_bytes([1; 16]),
        logged_in_at: None,
        session_ends_at: None,
        issued_at: 0,
        expires_at: 1,
        signed_until: 1,
    };
    let prepared = Prepared::new(&caller, &apps);
    Arc::new(Verified::new(caller, prepared))
}

fn verdict(route: &Route, caller: Option<Authenticated>) -> Result<usize, &'static str> {
    let passed =
        permit(RouteId(0), route, caller, &Revocations::default(), None, "192.0.2.1".parse().unwrap());
    passed.map(|permit| permit.upstream()).map_err(|denied| denied.code())
}

#[test]
fn a_permit_names_the_upstream_and_nothing_else_does() {
    assert_eq!(verdict(&route(Auth::Required, None), Some(caller(0))), Ok(3));
    assert_eq!(verdict(&route(Auth::Optional, None), None), Ok(3));
    assert_eq!(verdict(&route(Auth::None, None), None), Ok(3));
}

#[test]
fn nobody_passes_where_somebody_must() {
    assert_eq!(verdict(&route(Auth::Required, None), None), Err("token_missing"));
    assert_eq!(verdict(&route(Auth::Deny, None), Some(caller(0))), Err("access_denied"));
    let mut nowhere = route(Auth::Required, None);
    nowhere.upstream = None;
    assert_eq!(verdict(&nowhere, Some(caller(0))), Err("access_denied"));
}

#[test]
fn a_list_of_apps_lets_those_pass_and_an_empty_one_nobody() {
    let shop_only = route(Auth::Required, Some(vec![1]));
    assert_eq!(verdict(&shop_only, Some(caller(1))), Ok(3));
    assert_eq!(verdict(&shop_only, Some(caller(0))), Err("app_not_allowed"));
    assert_eq!(verdict(&route(Auth::Required, Some(vec![])), Some(caller(0))), Err("app_not_allowed"));
    assert_eq!(verdict(&route(Auth::Optional, Some(vec![])), None), Err("app_not_allowed"));
}

#[test]
fn a_route_may_refuse_callers_while_ends_of_other_nodes_may_be_missing() {
    let mut careful = route(Auth::Optional, None);
    careful.on_store_down = OnStoreDown::Deny;
    let never_read = Revocations::shared(Duration::from_secs(15));
    let verdict = |route: &Route, caller, revocations: &Revocations| {
        let passed = permit(RouteId(0), route, caller, revocations, None, "192.0.2.1".parse().unwrap());
        passed.map(|_| ()).map_err(|denied| denied.code())
    };
    assert_eq!(verdict(&careful, Some(caller(0)), &never_read), Err("revocations_stale"));
    // Nobody's session has ended.
    assert_eq!(verdict(&careful, None, &never_read), Ok(()));
    assert_eq!(verdict(&careful, Some(caller(0)), &Revocations::default()), Ok(()));
    assert_eq!(verdict(&route(Auth::Required, None), Some(caller(0)), &never_read), Ok(()));
}
