use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Duration;

use super::Pool;
use crate::affinity;

/// Every task runs exactly once, on a worker that exists, region after region.
#[test]
fn tasks_run_once() {
    for threads in [1, 2, 3, 8] {
        let pool = Pool::new(threads, false).unwrap();
        assert_eq!(pool.num_threads(), threads);
        for num_tasks in [0, 1, 2, 7, 100] {
            for _ in 0..50 {
                let runs: Vec<AtomicUsize> = (0..num_tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(num_tasks, &|worker, task| {
                    assert!(worker < threads);
                    runs[task].fetch_add(1, Ordering::Relaxed);
                });
                assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
            }
        }
    }
}

/// Workers that have parked wake for the next region.
#[test]
fn parked_workers_wake() {
    let pool = Pool::new(2, false).unwrap();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(20));
        let started = AtomicUsize::new(0);
        // Both tasks wait for each other, so one thread alone could not finish.
        pool.run(2, &|_, _| {
            started.fetch_add(1, Ordering::SeqCst);
            while started.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
        });
    }
}

#[test]
fn chunks_cover_the_data() {
    let pool = Pool::new(3, false).unwrap();
    let mut first = vec![0; 1000];
    let mut second = vec![0; 1000];
    pool.for_chunk_pairs(&mut first, &mut second, 7, |index, first, second| {
        assert_eq!(first.len(), second.len());
        for (offset, (a, b)) in first.iter_mut().zip(second).enumerate() {
            *a += index * 7 + offset;
            *b += 2 * (index * 7 + offset);
        }
    });
    assert!(
        first
            .iter()
            .enumerate()
            .all(|(index, &value)| value == index)
    );
    assert!(
        second
            .iter()
            .enumerate()
            .all(|(index, &value)| value == 2 * index)
    );
}

/// A panic in a task reaches the caller, whoever ran it, and the pool works afterwards.
#[test]
fn panics_reach_the_caller() {
    let pool = Pool::new(2, false).unwrap();
    for round in 0..20 {
        let run = || pool.run(10, &|_, task| assert!(task != round % 10, "on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        let sum = AtomicUsize::new(0);
        pool.run(10, &|_, task| {
            sum.fetch_add(task, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 45);
    }
}

/// Each pinned worker may run on its own core alone, and the caller where it could before.
#[test]
fn pinned_workers_stay() {
    let cores = match affinity::allowed_cores() {
        Ok(cores) => cores,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
            assert!(Pool::new(1, true).is_err(), "refused, not ignored");
            return;
        }
    };
    let threads = cores.len().min(4);
    let pool = Pool::new(threads, true).unwrap();
    let everybody = Barrier::new(threads);
    let seen = Mutex::new(Vec::new());
    pool.run(threads, &|worker, _| {
        // So that no thread takes two tasks.
        everybody.wait();
        let allowed = affinity::allowed_cores().unwrap();
        seen.lock().unwrap().push((worker, allowed));
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort();
    let mut expected = vec![(0, cores.clone())];
    expected.extend((1..threads).map(|worker| (worker, vec![cores[worker]])));
    assert_eq!(seen, expected);
    let too_many = Pool::new(cores.len() + 1, true).err().unwrap();
    assert_eq!(too_many.kind(), std::io::ErrorKind::InvalidInput);
}
