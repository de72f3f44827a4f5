//! Blocks that outlive the engine.

use std::fs;
use std::path::Path;

use engine::DiskConfig;

use crate::client::{Engine, config, prompt};

fn engine(folder: &Path, num_blocks: u32) -> Engine {
    let disk = DiskConfig {
        folder: folder.to_owned(),
        max_bytes: 1 << 24,
        fingerprint: b"fake".to_vec(),
    };
    Engine::start_on(config(num_blocks, 4_096), |runner| runner, Some(disk))
}

#[test]
fn a_restart_keeps_the_prefix_cache() {
    let folder = tempfile::tempdir().unwrap();
    let prompt = prompt(3, 1_000);
    let first = engine(folder.path(), 400);
    let answer = first.submit(&prompt, 5).answer();
    first.shut_down();
    let second = engine(folder.path(), 400);
    let again = second.submit(&prompt, 5).answer();
    assert_eq!(again.tokens, answer.tokens);
    // 62 whole blocks of 16 tokens; the other 8 tokens are computed, and four of the answer.
    assert_eq!(again.cached_tokens, 992);
    assert_eq!(second.counters.tokens(), 8 + 4);
    let disk = second.handle.stats().disk.unwrap();
    assert_eq!((disk.restored_tokens, disk.store.read), (992, 62));
    second.shut_down();
}

#[test]
fn what_was_evicted_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path(), 101);
    let first = prompt(1, 800);
    let answer = engine.submit(&first, 3).answer();
    for seed in 2..8 {
        engine.submit(&prompt(seed, 800), 1).answer();
    }
    // The thread that writes may be behind.
    for _ in 0..6_000 {
        let disk = engine.handle.stats().disk.unwrap();
        if disk.store.written >= 200 || disk.store.dropped > 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        engine.submit(&prompt(7, 800), 1).answer();
    }
    let before = engine.counters.tokens();
    let again = engine.submit(&first, 3).answer();
    assert_eq!(again.tokens, answer.tokens);
    let computed = engine.counters.tokens() - before;
    assert_eq!(again.cached_tokens as u64 + computed, 800 + 2);
    assert!(
        again.cached_tokens > 700,
        "{} from disk",
        again.cached_tokens
    );
    engine.shut_down();
}

#[test]
fn damaged_files_cost_time_and_nothing_else() {
    let prompt = prompt(3, 500);
    for damage in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let first = engine(folder.path(), 400);
        let answer = first.submit(&prompt, 5).answer();
        first.shut_down();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            match damage {
                0 => bytes.truncate(bytes.len() / 2),
                1 => bytes.clear(),
                // Not in one of the hashes, which stand at the front of each record.
                2 => bytes
                    .iter_mut()
                    .skip(200)
                    .step_by(1_000)
                    .for_each(|byte| *byte ^= 1),
                _ => bytes[30] ^= 0x80,
            }
            fs::write(path, bytes).unwrap();
        }
        let second = engine(folder.path(), 400);
        let again = second.submit(&prompt, 5).answer();
        assert_eq!(again.tokens, answer.tokens, "damage {damage}");
        assert!(again.cached_tokens < 499, "damage {damage}");
        second.shut_down();
    }
}

#[test]
fn a_reset_forgets_what_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let prompt = prompt(3, 500);
    let first = engine(folder.path(), 400);
    first.submit(&prompt, 1).answer();
    first.shut_down();
    let second = engine(folder.path(), 400);
    let (sender, done) = std::sync::mpsc::channel();
    second
        .handle
        .reset_cache(move |done| sender.send(done).unwrap())
        .unwrap();
    assert!(done.recv().unwrap());
    assert_eq!(second.submit(&prompt, 1).answer().cached_tokens, 0);
    second.shut_down();
}
