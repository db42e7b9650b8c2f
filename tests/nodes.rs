//! Several gateways with one Redis: what one of them does, all of them know.

mod ends;
mod logins;
mod trouble;
mod failover;
mod keys;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::harness::Nodes;

/// For what is asked a thousand times: not every word of it is wanted in the log.
const QUIET: &str = "[log]\nlevel = \"info\"\n";

/// Somebody on each node who has not logged out, and who must never be told otherwise.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Asks every node on and on with each of these tokens.
    fn start(nodes: &Nodes, tokens: &[String]) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = nodes.all.iter().map(|gateway| {
            let (client, url, tokens) = (gateway.client.clone(), gateway.url("/api/x"), tokens.to_vec());
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    for token in &tokens {
                        let answer = client.get(&url).bearer_auth(token).send().await.unwrap();
                        assert_eq!(answer.status(), 200, "{url}: {:?}", answer.headers());
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                    // Redis and the test have their turn.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        });
        let clients = clients.collect();
        Self { stop, asked, clients }
    }

    /// How many requests were answered, all of them with 200.
    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        self.asked.load(Ordering::Relaxed)
    }
}
