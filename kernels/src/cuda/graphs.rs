//! Steps that come again are recorded once, and then launched as a whole.

use std::collections::HashMap;

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
    seen: HashMap<Layout, ()>,
    recording: Option<Layout>,
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
            seen: HashMap::new(),
            recording: None,
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
        if self.recording.take().is_some() {
            // The step before has failed; what was recorded of it is worth nothing.
            drop(device.end_recording());
        }
        if generation != self.generation {
            self.graphs.clear();
            self.seen.clear();
            self.generation = generation;
        }
        let Some(layout) = layout else {
            return Ok(false);
        };
        if let Some(recorded) = self.graphs.get_mut(layout) {
            self.now += 1;
            recorded.last_used = self.now;
            device.replay(&recorded.graph)?;
            return Ok(true);
        }
        if self.seen.remove(layout).is_some() {
            device.begin_recording()?;
            self.recording = Some(layout.clone());
        } else {
            if self.seen.len() >= MAX_SEEN {
                self.seen.clear();
            }
            self.seen.insert(layout.clone(), ());
        }
        Ok(false)
    }

    /// Ends a step: one that was recorded runs now.
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn end(&mut self, device: &D) -> Result<(), KernelError> {
        let Some(layout) = self.recording.take() else {
            return Ok(());
        };
        let graph = device.end_recording()?;
        device.replay(&graph)?;
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
