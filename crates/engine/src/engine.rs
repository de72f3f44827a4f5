//! Starting and stopping the engine's thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use models::ModelRunner;
use scheduler::{ConfigError, Scheduler, SchedulerConfig};

use crate::EngineHandle;
use crate::clock::MonotonicClock;
use crate::disk::{DiskConfig, DiskError, DiskTier};
use crate::handle::EngineLimits;
use crate::step_loop::StepLoop;

/// The engine's thread. Dropping it leaves the thread running until the handle shuts it down.
pub struct EngineThread {
    thread: JoinHandle<()>,
}

impl EngineThread {
    /// Waits until the engine has ended, after [`EngineHandle::shutdown`] or
    /// [`EngineHandle::abort`].
    pub fn join(self) {
        // The thread ends the process when it panics, so it never ends with an error.
        let _ = self.thread.join();
    }

    /// Whether the engine has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The disk cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// As [`start_with_disk`], without a disk.
///
/// # Errors
/// What is wrong with `config`.
///
/// # Panics
/// If the system cannot start a thread.
pub fn start(
    config: SchedulerConfig,
    runner: Box<dyn ModelRunner>,
) -> Result<(EngineHandle, EngineThread), StartError> {
    start_with_disk(config, runner, None)
}

/// Starts the thread that owns `runner` and everything scheduled on it. Blocks that are evicted are
/// kept on `disk`, if there is one.
///
/// A panic on that thread aborts the process: after a broken invariant the state must not serve
/// anybody's request.
///
/// # Errors
/// What is wrong with `config`, or with the disk.
///
/// # Panics
/// If the system cannot start a thread.
pub fn start_with_disk(
    mut config: SchedulerConfig,
    mut runner: Box<dyn ModelRunner>,
    disk: Option<DiskConfig>,
) -> Result<(EngineHandle, EngineThread), StartError> {
    // Room for a full queue's worth of arrivals during one step.
    let (sender, inbox) = sync_channel(config.max_queued_requests.max(1));
    let handle = EngineHandle::new(sender, limits(&config));
    let disk = disk.map(|disk| DiskTier::open(disk, config.block_size, runner.as_mut()));
    let disk = disk.transpose()?;
    config.list_evicted = disk.is_some();
    let scheduler = Scheduler::new(config)?;
    let clock = Box::new(MonotonicClock::start());
    let step_loop = StepLoop::new(scheduler, runner, inbox, handle.shared(), clock);
    let step_loop = match disk {
        None => step_loop,
        Some(disk) => step_loop.with_disk(disk),
    };
    let thread = std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| step_loop.run())).is_err() {
                std::process::abort();
            }
        })
        .expect("the system can start a thread");
    Ok((handle, EngineThread { thread }))
}

/// What a configuration lets the engine hold.
pub(crate) fn limits(config: &SchedulerConfig) -> EngineLimits {
    let num_blocks = (config.num_blocks as usize).saturating_sub(1);
    EngineLimits {
        max_model_len: config.max_model_len.min(num_blocks * config.block_size),
        max_num_seqs: config.max_num_seqs,
        max_num_batched_tokens: config.max_num_batched_tokens,
        num_blocks,
        block_size: config.block_size,
    }
}
