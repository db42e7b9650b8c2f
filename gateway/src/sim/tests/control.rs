//! The control API: how it is spoken to, what it tells, what it keeps to itself.

use super::*;

#[tokio::test]
async fn the_shortest_call_mints_a_code_of_alice() {
    let sim = Sim::start_with(|settings| settings.apps.truncate(1)).await;
    let minted = json_of(sim.post("/_sim/codes").send().await.unwrap()).await;
    let form = json_of(sim.post("/_sim/codes").body("user=al%69ce").send().await.unwrap()).await;
    let query = json_of(sim.post("/_sim/codes?user=alice").send().await.unwrap()).await;
    assert!(minted["code"].is_string());
    assert_eq!((&form["openid"], &query["openid"]), (&minted["openid"], &minted["openid"]));
}

#[tokio::test]
async fn a_unionid_can_be_given_or_withheld() {
    let sim = Sim::start().await;
    for (given, expected) in [("oGiven", Some("oGiven")), ("", None)] {
        let minted = sim.control("/_sim/codes", json!({ "appid": SHOP, "unionid": given })).await;
        let answer = sim.exchange(minted["code"].as_str().unwrap()).await;
        assert_eq!(answer.get("unionid").and_then(Value::as_str), expected);
    }
}

#[tokio::test]
async fn wrong_input_is_refused_with_what_to_do() {
    let sim = Sim::start().await;
    for (path, body) in [
        ("/_sim/codes", r#"{"user":"alice"}"#),
        ("/_sim/codes", r#"{"appid":"wxffffffffffffffff"}"#),
        ("/_sim/codes", r#"{"appid":"wx4f4bc4dec97d474b","usr":"alice"}"#),
        ("/_sim/codes", r#"{"appid":"wx4f4bc4dec97d474b","user":""}"#),
        ("/_sim/codes", r#"{"appid":"wx4f4bc4dec97d474b","user":7}"#),
        ("/_sim/codes", r#"{"appid":"wx4f4bc4dec97d474b","unionid":"a b"}"#),
        ("/_sim/codes", r#"{"appid":"#),
        ("/_sim/codes", "[1]"),
        ("/_sim/phone-codes", r#"{"appid":"wx4f4bc4dec97d474b","phone":"+86"}"#),
        ("/_sim/encrypted-data", r#"{"appid":"wx4f4bc4dec97d474b"}"#),
        ("/_sim/encrypted-data", r#"{"appid":"wx4f4bc4dec97d474b","stale":"yes"}"#),
        ("/_sim/faults", ""),
        ("/_sim/faults", "kind=earthquake"),
        ("/_sim/faults", "kind=busy&times=0"),
        ("/_sim/faults", "kind=busy&times=-1"),
        ("/_sim/faults", "kind=busy&code=1"),
        ("/_sim/faults", "kind=busy&path=sns"),
        ("/_sim/faults", "kind=slow&after_ms=600001"),
        ("/_sim/faults", "kind=slow&consume=false"),
        ("/_sim/faults", "kind=errcode"),
        ("/_sim/faults", "kind=errcode&code=0"),
        ("/_sim/faults", "kind=redirect&location=a%0d%0ab"),
        ("/_sim/clock", ""),
        ("/_sim/clock", "advance_secs=99999999999"),
        ("/_sim/nothing", ""),
        ("/_sim/calls", ""),
    ] {
        let answer = sim.post(path).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{path} {body}");
        let answer = json_of(answer).await;
        assert!(answer["error"].is_string() && answer["hint"].is_string(), "{path} {body}: {answer}");
    }
}

#[tokio::test]
async fn calls_are_counted_and_shown_without_what_is_secret() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    let answer = sim.exchange(&code).await;
    sim.get(&format!("/sns/jscode2session?{SECRET}&js_code={code}&js_code=again")).send().await.unwrap();
    sim.access_token().await;
    let text = sim.get("/_sim/calls?path=/sns/jscode2session").send().await.unwrap().text().await.unwrap();
    for secret in [SECRET, &code, answer["session_key"].as_str().unwrap()] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["counts"], json!({ "/sns/jscode2session": 2, "/cgi-bin/token": 1 }));
    let calls = shown["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0]["parameters"], json!(["appid", "secret", "js_code", "grant_type"]));
    assert_eq!(calls[0]["errcode"], Value::Null);
    assert_eq!(calls[0]["code_sha256"], crate::sim::calls::sha256_hex(code.as_bytes()));
    assert_eq!(calls[1]["parameters"], json!(["?", "js_code", "js_code"]));
    assert_eq!((&calls[1]["errcode"], &calls[1]["number"]), (&json!(41002), &json!(2)));
}

#[tokio::test]
async fn the_clock_can_be_moved_from_outside() {
    let sim = Sim::start().await;
    let code = sim.login("alice").await;
    let moved = sim.control("/_sim/clock", json!({ "advance_secs": 300 })).await;
    assert_eq!(moved["now"], START + 300);
    assert_eq!(sim.exchange(&code).await["errcode"], 40029);
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let sim = Sim::start().await;
    let (code, token) = (sim.login("alice").await, sim.access_token().await);
    sim.fault(json!({ "kind": "busy", "times": 5 })).await;
    sim.control("/_sim/clock", json!({ "advance_secs": 300 })).await;
    sim.control("/_sim/reset", json!({})).await;
    let overview = json_of(sim.get("/_sim").send().await.unwrap()).await;
    let left = ["now", "faults_pending", "calls"].map(|name| overview[name].clone());
    assert_eq!(left, [json!(START), json!(0), json!({})]);
    assert_eq!(sim.exchange(&code).await["errcode"], 40029);
    let check = sim.get("/wxa/checksession").query(&[("access_token", token)]);
    assert_eq!(json_of(check.send().await.unwrap()).await["errcode"], 40001);
}

#[tokio::test]
async fn pending_faults_are_listed_and_can_be_dropped() {
    let sim = Sim::start().await;
    sim.fault(json!({ "kind": "slow", "path": "/cgi-bin/token", "times": 3 })).await;
    let pending = json_of(sim.get("/_sim/faults").send().await.unwrap()).await;
    let expected =
        json!({ "kind": "slow", "path": "/cgi-bin/token", "times": 3, "consume": true, "after_ms": 10_000 });
    assert_eq!(pending["faults"], json!([expected]));
    sim.client.delete(format!("{}/_sim/faults", sim.url)).send().await.unwrap();
    sim.access_token().await;
}

#[tokio::test]
async fn a_body_too_long_has_no_effect() {
    let sim = Sim::start().await;
    let long = "x".repeat(2 * 1024 * 1024);
    assert_eq!(sim.post("/_sim/codes").body(long.clone()).send().await.unwrap().status(), 400);
    assert_eq!(sim.post("/cgi-bin/stable_token").body(long).send().await.unwrap().status(), 413);
}

#[tokio::test]
async fn the_simulator_stops_when_asked_even_with_an_answer_under_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let settings = Settings::new(vec![app(SHOP)], Arc::new(ManualClock::at(START)));
    let serving = tokio::spawn(serve(listener, settings, async move { drop(stopped.await) }));
    let client = Client::builder().no_proxy().build().unwrap();
    client.post(format!("{url}/_sim/faults")).body("kind=slow").send().await.unwrap();
    let slow = tokio::spawn(client.get(format!("{url}/sns/jscode2session")).send());
    let called = async || {
        let calls = client.get(format!("{url}/_sim/calls")).send().await.unwrap();
        json_of(calls).await["calls"][0].is_object()
    };
    while !called().await {}
    stop.send(()).unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(5), serving).await.unwrap().unwrap().unwrap();
    slow.abort();
}
