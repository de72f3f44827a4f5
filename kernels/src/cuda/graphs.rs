//! Steps that come again are recorded once, and then launched as a whole.

use std::collections::{HashMap, HashSet};

use crate::KernelError;
use crate::cuda::device::CudaDevice;
use crate::cuda::step::Layout;

/// Recorded steps that are kept; a graph of several hundred launches takes about a mebibyte.
const MAX_GRAPHS: usize = 64;
/// Layouts that were seen once and are remembered.
const MAX_SEEN: usize = 4096;

/// What was recorded, by the layout of the steps' inputs.
pub(crate) struct Graphs<D: CudaDevice> {
    graphs: HashMap<Layout, Recorded<D>>,
    /// A step that comes for the first time may still plan, choose algorithms, and make room.
    seen: HashSet<Layout>,
    recording: Option<Layout>,
    /// A device that could not record once is not asked again.
    is_able: bool,
    /// Of the inputs' addresses.
    generation: usize,
    /// Counts replays.
    now: u64,
}

struct Recorded<D: CudaDevice> {
    graph: D::Graph,
    last_used: u64,
}

impl<D: CudaDevice> Graphs<D> {
    pub(crate) fn new() -> Self {
        Self {
            graphs: HashMap::new(),
            seen: HashSet::new(),
            recording: None,
            is_able: true,
            generation: 0,
            now: 0,
        }
    }

    /// Begins a step: replays it, if it was recorded; begins to record it, if its layout was seen
    /// before. Returns whether it was replayed. Steps without a layout are not recorded.
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn begin(
        &mut self,
        device: &D,
        layout: Option<&Layout>,
        generation: usize,
    ) -> Result<bool, KernelError> {
        if generation != self.generation {
            self.graphs.clear();
            self.seen.clear();
            self.generation = generation;
        }
        let Some(layout) = layout.filter(|_| self.is_able) else {
            return Ok(false);
        };
        if let Some(recorded) = self.graphs.get_mut(layout) {
            self.now += 1;
            recorded.last_used = self.now;
            device.replay(&recorded.graph)?;
            return Ok(true);
        }
        if self.seen.remove(layout) {
            self.is_able = device.begin_recording().is_ok();
            self.recording = self.is_able.then(|| layout.clone());
        } else {
            if self.seen.len() >= MAX_SEEN {
                self.seen.clear();
            }
            self.seen.insert(layout.clone());
        }
        Ok(false)
    }

    /// Ends a step: one that was recorded runs now, unless it has failed.
    ///
    /// # Errors
    /// `Device`; of a step that could not be recorded nothing has run, and later ones are not recorded.
    pub(crate) fn end(&mut self, device: &D, has_failed: bool) -> Result<(), KernelError> {
        let Some(layout) = self.recording.take() else {
            return Ok(());
        };
        if has_failed {
            // What was recorded of it is worth nothing, nor is an error of that.
            drop(device.end_recording());
            return Ok(());
        }
        self.is_able = false;
        let graph = device.end_recording()?;
        device.replay(&graph)?;
        self.is_able = true;
        if self.graphs.len() >= MAX_GRAPHS {
            self.forget_oldest();
        }
        self.now += 1;
        let last_used = self.now;
        self.graphs.insert(layout, Recorded { graph, last_used });
        Ok(())
    }

    fn forget_oldest(&mut self) {
        let oldest = self
            .graphs
            .values()
            .map(|recorded| recorded.last_used)
            .min();
        self.graphs
            .retain(|_, recorded| Some(recorded.last_used) != oldest);
    }
}

/// 1, 2, 4, then multiples of 8, from 256 on of 16.
pub(crate) fn padded_rows(rows: usize) -> usize {
    match rows {
        0..=4 => rows.next_power_of_two().min(4 * rows),
        5..=256 => rows.next_multiple_of(8),
        _ => rows.next_multiple_of(16),
    }
}
