//! One code sent to two nodes that share a store.

use super::*;

/// Two nodes over one store and one WeChat.
fn nodes(turns: usize) -> (Bench, Bench) {
    let one = bench(turns);
    let store = MemoryStore::new(100_000);
    let store = Arc::new(Flaky {
        store,
        fails: AtomicBool::default(),
        keeps_no_end: AtomicBool::default(),
        keeps_no_end_of: Mutex::default(),
        hangs: AtomicBool::default(),
        codes: Some(Mutex::default()),
    });
    let node = || node(Arc::clone(&one.wechat), Arc::clone(&store), Arc::clone(&one.clock), one.keys.clone());
    (node(), node())
}

#[tokio::test]
async fn a_code_gives_its_session_on_every_node() {
    let (one, two) = nodes(1);
    let first = one.login("code-alice").await.unwrap();
    one.clock.advance(30);
    let again = two.login("code-alice").await.unwrap();
    assert_eq!((again.caller.clone(), one.calls()), (first.caller.clone(), 1));
    assert_eq!(again.token.expose(), first.token.expose());
    // The minute runs from the login, not from its repetition.
    one.clock.advance(31);
    assert!(matches!(two.login("code-alice").await, Err(LoginError::CodeUsed)));
}

#[tokio::test]
async fn parallel_senders_to_two_nodes_share_one_exchange() {
    let (one, two) = nodes(0);
    let (one, two) = (Arc::new(one), Arc::new(two));
    let senders: Vec<_> = (0..20)
        .map(|n| {
            let node = Arc::clone(if n % 2 == 0 { &one } else { &two });
            tokio::spawn(async move { node.login("code-alice").await.unwrap().caller.sid })
        })
        .collect();
    while one.calls() == 0 {
        tokio::task::yield_now().await;
    }
    one.wechat.gate.add_permits(1);
    let mut sids = Vec::new();
    for sender in senders {
        sids.push(sender.await.unwrap());
    }
    sids.dedup();
    assert_eq!((sids.len(), one.calls()), (1, 1));
}

#[tokio::test]
async fn a_code_that_another_node_is_at_for_too_long_may_be_sent_again() {
    let (one, two) = nodes(0);
    let one = Arc::new(one);
    let slow = {
        let one = Arc::clone(&one);
        tokio::spawn(async move { one.login("code-alice").await.unwrap().caller.sid })
    };
    while one.calls() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(two.login("code-alice").await, Err(LoginError::AtAnotherNode)));
    one.wechat.gate.add_permits(1);
    let sid = slow.await.unwrap();
    assert_eq!((two.login("code-alice").await.unwrap().caller.sid, one.calls()), (sid, 1));
}

#[tokio::test]
async fn a_code_whose_session_was_ended_is_used_on_every_node() {
    let (one, two) = nodes(1);
    let login = one.login("code-alice").await.unwrap();
    one.service.logout(&login.caller).await.unwrap();
    assert!(matches!(two.login("code-alice").await, Err(LoginError::CodeUsed)));
    assert_eq!(one.calls(), 1);
}

#[tokio::test]
async fn a_code_that_may_still_be_good_can_be_tried_on_another_node() {
    let (one, two) = nodes(1);
    one.answer_next(ExchangeError::Busy(refusal(-1)));
    assert!(one.login("code-alice").await.is_err());
    two.login("code-alice").await.unwrap();
    assert_eq!(one.calls(), 2);
}

#[tokio::test]
async fn a_store_that_cannot_say_whose_a_code_is_leaves_it_unspent() {
    let (one, _) = nodes(1);
    one.store_fails(true);
    assert!(matches!(one.login("code-alice").await, Err(LoginError::Store(_))));
    assert_eq!(one.calls(), 0);
    one.store_fails(false);
    one.login("code-alice").await.unwrap();
}

#[tokio::test]
async fn the_same_code_of_two_apps_is_two_codes_on_two_nodes_too() {
    let (one, two) = nodes(1);
    let code = || LoginCode::parse("code-alice").unwrap();
    let first = one.service.login(&app('1'), code()).await.unwrap();
    let second = two.service.login(&app('2'), code()).await.unwrap();
    assert_ne!(first.caller.sid, second.caller.sid);
    assert_eq!(one.calls(), 2);
}
