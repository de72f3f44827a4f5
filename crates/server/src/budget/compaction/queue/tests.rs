//! Order, exclusion and bounds of background work.

use std::sync::Arc;
use std::time::Duration;

use context::{LedgerScope, SegmentChain, segment_digest};
use tokio::sync::{Notify, mpsc};

use super::*;

/// Keys of as many conversations.
fn keys<const N: usize>() -> [ChainKey; N] {
    let scope = LedgerScope {
        tenant_salt: b"",
        policy_major: 1,
        fingerprint: b"",
    };
    std::array::from_fn(|at| {
        let digest = segment_digest(&[&at.to_le_bytes()]);
        SegmentChain::from_digests(&scope, [&digest]).keys()[0]
    })
}

/// Work that says `name` when it begins and when it ends, which it may when `go` says so; if it is
/// dropped, it says so too.
struct Script {
    said: mpsc::UnboundedSender<String>,
    go: Arc<Notify>,
}

struct Watch {
    said: mpsc::UnboundedSender<String>,
    name: &'static str,
    last_word: &'static str,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.said.send(format!("{} {}", self.name, self.last_word));
    }
}

impl Script {
    fn new() -> (Self, mpsc::UnboundedReceiver<String>) {
        let (said, heard) = mpsc::unbounded_channel();
        let go = Arc::new(Notify::new());
        (Self { said, go }, heard)
    }

    fn work(&self, name: &'static str) -> Work {
        let (said, go) = (self.said.clone(), Arc::clone(&self.go));
        let watch = Watch {
            said: said.clone(),
            name,
            last_word: "dropped",
        };
        Box::pin(async move {
            let mut watch = watch;
            said.send(format!("{name} begins")).unwrap();
            go.notified().await;
            watch.last_word = "ends";
        })
    }
}

/// What is said until nothing more is.
async fn hear(heard: &mut mpsc::UnboundedReceiver<String>) -> Vec<String> {
    let mut all = Vec::new();
    while let Ok(Some(said)) = tokio::time::timeout(Duration::from_secs(1), heard.recv()).await {
        all.push(said);
    }
    all
}

fn queue(max_running: usize, max_waiting: usize) -> BackgroundQueue {
    BackgroundQueue::new(QueueLimits {
        max_running,
        max_waiting,
    })
}

#[tokio::test(start_paused = true)]
async fn one_at_a_time_for_each_conversation_the_latest_of_those_that_wait() {
    let [a, b] = keys();
    let (script, mut heard) = Script::new();
    let queue = queue(4, 4);
    queue.offer(a, script.work("a1")).unwrap();
    queue.offer(a, script.work("a2")).unwrap();
    queue.offer(a, script.work("a3")).unwrap();
    queue.offer(b, script.work("b1")).unwrap();
    assert_eq!(
        hear(&mut heard).await,
        ["a2 dropped", "a1 begins", "b1 begins"]
    );
    assert_eq!(queue.len(), 3);
    script.go.notify_one();
    assert_eq!(hear(&mut heard).await, ["a1 ends", "a3 begins"]);
    script.go.notify_waiters();
    assert_eq!(hear(&mut heard).await, ["b1 ends", "a3 ends"]);
    assert_eq!(queue.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_bounds_run_and_wait() {
    let [a, b, c, d] = keys();
    let (script, mut heard) = Script::new();
    let queue = queue(1, 2);
    queue.offer(a, script.work("a")).unwrap();
    queue.offer(b, script.work("b")).unwrap();
    queue.offer(c, script.work("c")).unwrap();
    assert_eq!(queue.offer(d, script.work("d")), Err(NotTaken::Full));
    assert_eq!(hear(&mut heard).await, ["d dropped", "a begins"]);
    for expected in [["a ends", "b begins"], ["b ends", "c begins"]] {
        script.go.notify_one();
        assert_eq!(hear(&mut heard).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_withdrawn_ends_and_makes_room() {
    let [a, b] = keys();
    let (script, mut heard) = Script::new();
    let queue = queue(1, 2);
    queue.offer(a, script.work("a1")).unwrap();
    queue.offer(a, script.work("a2")).unwrap();
    queue.offer(b, script.work("b")).unwrap();
    assert_eq!(hear(&mut heard).await, ["a1 begins"]);
    queue.withdraw(a);
    let said = hear(&mut heard).await;
    assert_eq!(said.len(), 3, "{said:?}");
    for expected in ["a1 dropped", "a2 dropped", "b begins"] {
        assert!(said.iter().any(|said| said == expected), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_drops_everything_for_good() {
    let [a, b] = keys();
    let (script, mut heard) = Script::new();
    let queue = queue(1, 2);
    queue.offer(a, script.work("a")).unwrap();
    queue.offer(b, script.work("b")).unwrap();
    assert_eq!(hear(&mut heard).await, ["a begins"]);
    queue.stop();
    assert_eq!(queue.offer(a, script.work("c")), Err(NotTaken::Stopped));
    let mut said = hear(&mut heard).await;
    said.sort();
    assert_eq!(said, ["a dropped", "b dropped", "c dropped"]);
    assert_eq!(queue.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn work_that_panics_makes_room() {
    let [a] = keys();
    let (script, mut heard) = Script::new();
    let queue = queue(1, 2);
    let panicking: Work = Box::pin(async { panic!("on purpose") });
    queue.offer(a, panicking).unwrap();
    queue.offer(a, script.work("a")).unwrap();
    assert_eq!(hear(&mut heard).await, ["a begins"]);
}
