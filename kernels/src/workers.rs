//! Threads of a backend, for work on the host between two steps.

/// Threads that wait for the next operation and can do something else meanwhile.
pub trait Workers: Sync {
    /// Threads, the caller's included.
    fn num_workers(&self) -> usize;

    /// Calls `run(worker, task)` once for every task below `num_tasks`, in any order, on any of the
    /// threads; a `worker` below [`Workers::num_workers`] has one task at a time. Returns when all
    /// are done.
    ///
    /// # Panics
    /// If a task panics.
    fn run(&self, num_tasks: usize, run: &(dyn Fn(usize, usize) + Sync));
}

/// The calling thread alone.
#[derive(Clone, Copy, Debug)]
pub struct Caller;

impl Workers for Caller {
    fn num_workers(&self) -> usize {
        1
    }

    fn run(&self, num_tasks: usize, run: &(dyn Fn(usize, usize) + Sync)) {
        (0..num_tasks).for_each(|task| run(0, task));
    }
}
