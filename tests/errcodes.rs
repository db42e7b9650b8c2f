//! What docs/errors.md says of WeChat's errcodes is what the gateway makes of them.

use serde_json::json;

use crate::documents::markdown::Document;
use crate::harness::{Gateway, SHOP};

#[tokio::test]
async fn every_errcode_gives_the_code_and_status_that_are_documented() {
    let (gateway, recorder) = Gateway::before_recorder().await;
    let document = Document::read("docs/errors.md");
    let rows: Vec<_> = document.rows().collect();
    let mut tried = 0;
    for row in &rows {
        let Some(errcode) = row.first().and_then(|cell| cell.parse::<i64>().ok()) else { continue };
        let code = gateway.simulator.code(&SHOP, &format!("user{}", errcode.unsigned_abs())).await;
        // Often enough for a client that asks again.
        gateway.simulator.fault(json!({ "kind": "errcode", "code": errcode, "times": 20 })).await;
        let (status, answer) = gateway.login(json!({ "code": code, "appid": SHOP.appid })).await;
        assert_eq!(row[2], format!("`{}`", answer["error"].as_str().unwrap()), "errcode {errcode}: {answer}");
        let explained = rows.iter().find(|other| other[0] == row[2]).expect("the code has a row of its own");
        assert!(
            explained[1].split(' ').any(|one| one == status.to_string()),
            "{errcode}: {status}, {explained:?}"
        );
        forget_faults(&gateway).await;
        tried += 1;
    }
    assert!(tried >= 20, "only {tried} errcodes were found");
    assert!(recorder.seen().is_empty(), "nothing of a login reaches a service");
}

async fn forget_faults(gateway: &Gateway) {
    let url = format!("{}/_sim/faults", gateway.simulator.url());
    assert!(gateway.client.delete(url).send().await.unwrap().status().is_success());
}
