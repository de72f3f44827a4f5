//! Threads of the backend's own: short parallel regions, a few microseconds apart.

#![expect(
    unsafe_code,
    reason = "shares a borrowed closure and disjoint slices with the workers"
)]

#[cfg(test)]
mod tests;

use std::cell::UnsafeCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use crate::{Workers, affinity};

/// Turns of the wait before a worker parks, some 50 microseconds: longer than the pauses between
/// the operations of a step, shorter than the pauses between steps of an idle server.
const SPINS_BEFORE_PARKING: u32 = 4_000;
/// Turns before the caller offers its core to whoever needs it.
const SPINS_BEFORE_YIELDING: u32 = 2_000;
/// One in the gate's count of regions; the bits below count the workers inside.
const REGION: u64 = 1 << 16;

/// A pool of threads, the caller among them.
///
/// A region is published through one word, the gate: its upper bits count openings and closings
/// (odd: open), its lower bits count the workers inside. A worker that comes late, because the
/// machine is busy with something else, finds the gate closed and is not waited for.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller of a region.
    region: Mutex<()>,
}

#[repr(align(128))]
struct Padded<T>(T);

struct Shared {
    gate: Padded<AtomicU64>,
    /// Next task of the open region.
    next: Padded<AtomicUsize>,
    /// Written while the gate is closed and nobody is inside, read by workers inside.
    job: UnsafeCell<Job>,
    /// Per worker: it is parked, or about to be.
    parked: Vec<Padded<AtomicBool>>,
    panicked: AtomicBool,
    stopping: AtomicBool,
}

/// The tasks of a region. Arguments of `run`: worker, task.
#[derive(Clone, Copy)]
struct Job {
    run: *const (dyn Fn(usize, usize) + Sync),
    num_tasks: usize,
}

// SAFETY: `job` is the only field that is not `Sync`; the gate orders its accesses (see `Shared`).
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` is followed only while its region, which borrows it, is open.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool of `num_threads`, of which it starts all but the caller. `pinned` ones stay on a core
    /// each, out of those that the caller may use; the first of them is left to the caller.
    ///
    /// # Errors
    /// What the operating system says when it refuses a thread; `InvalidInput` when there are fewer
    /// cores than threads to pin, `Unsupported` where threads cannot be pinned.
    pub(crate) fn new(num_threads: usize, pinned: bool) -> io::Result<Self> {
        let num_workers = num_threads.saturating_sub(1);
        let cores = if pinned {
            affinity::allowed_cores()?
        } else {
            Vec::new()
        };
        if pinned && cores.len() < num_threads {
            let reason = format!("{num_threads} threads to pin, but {} cores", cores.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let shared = Arc::new(Shared {
            gate: Padded(AtomicU64::new(0)),
            next: Padded(AtomicUsize::new(0)),
            job: UnsafeCell::new(Job {
                run: &|_, _| {},
                num_tasks: 0,
            }),
            parked: (0..num_workers)
                .map(|_| Padded(AtomicBool::new(false)))
                .collect(),
            panicked: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        });
        let mut pool = Self {
            shared,
            workers: Vec::new(),
            region: Mutex::new(()),
        };
        // What starting takes is taken here, and not while a step runs.
        let (starting, started) = mpsc::channel::<()>();
        for index in 0..num_workers {
            let (shared, starting) = (Arc::clone(&pool.shared), starting.clone());
            let worker = std::thread::Builder::new()
                .name(format!("cpu-kernel-{}", index + 1))
                .spawn(move || {
                    drop(starting);
                    shared.work(index);
                })?;
            if pinned {
                affinity::pin(&worker, cores[index + 1])?;
            }
            pool.workers.push(worker);
        }
        drop(starting);
        // Ends when the last worker has dropped its end.
        started.into_iter().for_each(drop);
        Ok(pool)
    }

    /// Threads, the caller included.
    pub(crate) fn num_threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `run(worker, task)` once for every task below `num_tasks`, in any order, on any
    /// thread; `worker < num_threads()` is the caller's thread if 0. Returns when all are done.
    ///
    /// # Panics
    /// If a task panics.
    pub(crate) fn run(&self, num_tasks: usize, run: &(dyn Fn(usize, usize) + Sync)) {
        if num_tasks <= 1 || self.workers.is_empty() {
            (0..num_tasks).for_each(|task| run(0, task));
            return;
        }
        let _region = self.region.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.next.0.store(0, Ordering::Relaxed);
        // SAFETY: the gate is closed and nobody is inside, and this thread holds `region`. The
        // lifetime is erased; `Closing` waits for the workers before the borrow ends.
        unsafe {
            *self.shared.job.get() = Job {
                run: std::mem::transmute::<
                    *const (dyn Fn(usize, usize) + Sync + '_),
                    *const (dyn Fn(usize, usize) + Sync + 'static),
                >(run),
                num_tasks,
            };
        }
        self.shared.gate.0.fetch_add(REGION, Ordering::SeqCst);
        let closing = Closing(&self.shared);
        for (worker, parked) in self.workers.iter().zip(&self.shared.parked) {
            if parked.0.swap(false, Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        self.shared.take_tasks(0, run, num_tasks);
        drop(closing);
        let panicked = self.shared.panicked.swap(false, Ordering::Relaxed);
        assert!(
            !panicked,
            "a task panicked on a worker; its message is above"
        );
    }

    /// Calls `run(index, chunk)` for the chunks of `chunk_len` elements of `data`.
    pub(crate) fn for_chunks<T: Send>(
        &self,
        data: &mut [T],
        chunk_len: usize,
        run: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let len = data.len();
        let base = SharedPtr(data.as_mut_ptr());
        self.run(len.div_ceil(chunk_len), &|_, index| {
            let start = index * chunk_len;
            let chunk_len = chunk_len.min(len - start);
            // SAFETY: chunks of different indices are disjoint and each index runs once; `data` is
            // borrowed until `run` returns.
            let chunk = unsafe { std::slice::from_raw_parts_mut(base.get().add(start), chunk_len) };
            run(index, chunk);
        });
    }

    /// As [`Self::for_chunks`], over two slices of the same length at once.
    ///
    /// # Panics
    /// If the lengths differ.
    pub(crate) fn for_chunk_pairs<T: Send>(
        &self,
        first: &mut [T],
        second: &mut [T],
        chunk_len: usize,
        run: impl Fn(usize, &mut [T], &mut [T]) + Sync,
    ) {
        assert_eq!(first.len(), second.len(), "chunks come in pairs");
        let len = second.len();
        let base = SharedPtr(second.as_mut_ptr());
        self.for_chunks(first, chunk_len, |index, first| {
            let start = index * chunk_len;
            debug_assert!(start + first.len() <= len);
            // SAFETY: as in `for_chunks`; the second slice is as long as the first.
            let second =
                unsafe { std::slice::from_raw_parts_mut(base.get().add(start), first.len()) };
            run(index, first, second);
        });
    }
}

impl Workers for Pool {
    fn num_workers(&self) -> usize {
        self.num_threads()
    }

    fn run(&self, num_tasks: usize, run: &(dyn Fn(usize, usize) + Sync)) {
        Self::run(self, num_tasks, run);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker catches its tasks' panics, so there is no error to pass on.
            let _ = worker.join();
        }
    }
}

/// A pointer that tasks may use at once; each takes care to touch its own part.
#[derive(Clone, Copy)]
pub(crate) struct SharedPtr<T>(pub(crate) *mut T);

// SAFETY: whoever dereferences it vouches for the access; the pointer itself is plain data.
unsafe impl<T: Send> Send for SharedPtr<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedPtr<T> {}

impl<T> SharedPtr<T> {
    /// The pointer. (A method, so that closures capture the whole, which is `Sync`.)
    pub(crate) fn get(&self) -> *mut T {
        self.0
    }
}

/// Closes the gate and waits for the workers inside, also when the caller's own task panics.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let gate = &self.0.gate.0;
        let mut inside = gate.fetch_add(REGION, Ordering::AcqRel) % REGION;
        let mut spins = 0;
        while inside > 0 {
            if spins < SPINS_BEFORE_YIELDING {
                spins += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
            inside = gate.load(Ordering::Acquire) % REGION;
        }
    }
}

impl Shared {
    /// A worker's life.
    fn work(&self, index: usize) {
        let mut seen = 0;
        while let Some(region) = self.enter(index, seen) {
            seen = region;
            // SAFETY: inside the gate: the caller wrote `job` before it opened, and neither writes
            // it nor ends the closure's borrow before this worker has left.
            let job = unsafe { *self.job.get() };
            let tasks = || {
                // SAFETY: as above.
                let run = unsafe { &*job.run };
                self.take_tasks(index + 1, run, job.num_tasks);
            };
            if catch_unwind(AssertUnwindSafe(tasks)).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.gate.0.fetch_sub(1, Ordering::Release);
        }
    }

    fn take_tasks(&self, worker: usize, run: &(dyn Fn(usize, usize) + Sync), num_tasks: usize) {
        loop {
            let task = self.next.0.fetch_add(1, Ordering::Relaxed);
            if task >= num_tasks {
                return;
            }
            run(worker, task);
        }
    }

    /// Waits for an open region other than `seen` and enters it; `None` when the pool stops.
    fn enter(&self, index: usize, seen: u64) -> Option<u64> {
        let mut spins = 0;
        loop {
            let gate = self.gate.0.load(Ordering::SeqCst);
            let region = gate / REGION;
            if region % 2 == 1 && region != seen {
                let entered = self.gate.0.compare_exchange_weak(
                    gate,
                    gate + 1,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                );
                if entered.is_ok() {
                    self.parked[index].0.store(false, Ordering::Relaxed);
                    return Some(region);
                }
                continue;
            }
            if self.stopping.load(Ordering::SeqCst) {
                return None;
            }
            if spins < SPINS_BEFORE_PARKING {
                spins += 1;
                std::hint::spin_loop();
            } else if !self.parked[index].0.swap(true, Ordering::SeqCst) {
                // Announced: one more look at the gate, since an opening before the announcement
                // woke nobody.
            } else {
                std::thread::park();
            }
        }
    }
}
