//! Group N: responses, retries, pools.

use super::case;
use crate::harness::Gateway;

#[tokio::test]
async fn a_refusal_is_never_stored_and_says_how_to_authenticate() {
    let _case =
        case("N04", "a stored 401 would answer the next user: refusals are no-store and name the scheme");
    let (gateway, _recorder) = Gateway::before_recorder().await;
    for (path, status) in [("/api/x", 401), ("/internal/x", 403)] {
        let answer = gateway.get(path).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(answer.headers().contains_key("www-authenticate"), status == 401, "{path}");
    }
}
