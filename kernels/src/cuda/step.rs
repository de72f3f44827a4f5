//! A step's inputs on the device: ids, positions, slots, block tables and attention's tiles, sent at
//! once.

use crate::cuda::attention::{self, Plan, Sight, TILE_WORDS, Way};
use crate::cuda::bytes::bytes_of;
use crate::cuda::device::CudaDevice;
use crate::{KernelError, KvPool, StepBatch, StepSizes, SumOrder};

/// The inputs of one step. Every part's place depends on the parts' rounded lengths alone, so that
/// steps of one [`Layout`] find theirs at the same addresses.
pub(crate) struct StepInputs<D: CudaDevice> {
    memory: Option<D::Memory>,
    capacity: usize,
    /// Counts the times that addresses have changed for all layouts.
    generation: usize,
    batch: Option<StepBatch>,
    words: Vec<u32>,
    layout: Layout,
    /// What layers have looked at so far: planned before the first of them runs.
    sights: Vec<SightPlans>,
    sum_order: SumOrder,
}

/// Rounded lengths of the parts, in words, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Layout {
    lengths: Vec<usize>,
}

/// A part of the inputs that every step has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    TokenIds,
    Positions,
    Slots,
    WindowSlots,
    LogitsRows,
    Tables,
    WindowTables,
}

const SECTIONS: [Section; 7] = [
    Section::TokenIds,
    Section::Positions,
    Section::Slots,
    Section::WindowSlots,
    Section::LogitsRows,
    Section::Tables,
    Section::WindowTables,
];

/// The plans of a sight; their tiles are parts behind the sections.
struct SightPlans {
    sight: Sight,
    first_part: usize,
    plans: Vec<(Way, Plan)>,
}

/// Tiles of a way on the device, some of them empty.
pub(crate) struct PlacedTiles {
    pub(crate) way: Way,
    pub(crate) address: u64,
    pub(crate) num_tiles: usize,
}

impl<D: CudaDevice> StepInputs<D> {
    pub(crate) fn new(sum_order: SumOrder) -> Self {
        Self {
            memory: None,
            capacity: 0,
            generation: 0,
            batch: None,
            words: Vec::new(),
            layout: Layout::default(),
            sights: Vec::new(),
            sum_order,
        }
    }

    /// Room for steps within `sizes` of a model with up to two sights, in blocks of the usual size.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, device: &D, sizes: &StepSizes) -> Result<(), KernelError> {
        const BLOCK_SIZE: usize = 16;
        let tokens = 4 * sizes.max_tokens + sizes.max_seqs;
        let tables = sizes.max_seqs * sizes.max_context.div_ceil(BLOCK_SIZE);
        let tiles = TILE_WORDS * attention::max_tiles(device, sizes, self.sum_order);
        // Rounding adds a quarter at most to anything but tables, which may double.
        let words = tokens + tokens / 4 + 2 * tables.next_power_of_two() + 2 * (tiles + tiles / 4);
        self.grow(device, words)
    }

    /// Sends a step's inputs.
    ///
    /// # Errors
    /// `OutOfMemory` of a step larger than was expected; `Device`.
    pub(crate) fn set(&mut self, device: &D, batch: &StepBatch) -> Result<(), KernelError> {
        self.words.clear();
        self.layout.lengths.clear();
        for section in SECTIONS {
            let words = section.of(batch);
            self.words.extend_from_slice(words);
            self.end_part(section.rounded(words.len()));
        }
        for index in 0..self.sights.len() {
            self.plan(device, index, batch);
        }
        self.send(device)?;
        self.batch = Some(batch.clone());
        Ok(())
    }

    /// Whether these are the inputs that were sent.
    pub(crate) fn are(&self, batch: &StepBatch) -> bool {
        self.batch.as_ref() == Some(batch)
    }

    /// Equal layouts mean equal addresses, as long as the generation is the same.
    pub(crate) fn layout(&self) -> (&Layout, usize) {
        (&self.layout, self.generation)
    }

    /// The address of a section, if `words` is what it holds.
    pub(crate) fn find(&self, device: &D, section: Section, words: &[u32]) -> Option<u64> {
        let batch = self.batch.as_ref()?;
        (section.of(batch) == words).then(|| self.section(device, section))
    }

    /// The block tables of a pool.
    pub(crate) fn tables(&self, device: &D, pool: KvPool) -> u64 {
        match pool {
            KvPool::Main => self.section(device, Section::Tables),
            KvPool::Window => self.section(device, Section::WindowTables),
        }
    }

    /// The tiles of a sight; one that is new is planned and sent, and from then on with every step.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(crate) fn tiles(
        &mut self,
        device: &D,
        sight: Sight,
    ) -> Result<Vec<PlacedTiles>, KernelError> {
        let known = self.sights.iter().position(|plans| plans.sight == sight);
        let index = match known {
            Some(index) => index,
            None => {
                let ways = Way::of(&sight, self.sum_order, device.max_shared_bytes());
                self.sights.push(SightPlans {
                    sight,
                    first_part: 0,
                    plans: ways.iter().map(|&way| (way, Plan::default())).collect(),
                });
                let batch = self.batch.take().expect("a step has begun");
                self.plan(device, self.sights.len() - 1, &batch);
                self.batch = Some(batch);
                self.send(device)?;
                self.sights.len() - 1
            }
        };
        let SightPlans {
            first_part, plans, ..
        } = &self.sights[index];
        let placed = plans
            .iter()
            .zip(*first_part..)
            .map(|((way, _), part)| PlacedTiles {
                way: *way,
                address: self.part(device, part),
                num_tiles: self.layout.lengths[part] / TILE_WORDS,
            });
        Ok(placed.filter(|tiles| tiles.num_tiles > 0).collect())
    }

    fn section(&self, device: &D, section: Section) -> u64 {
        self.part(device, section as usize)
    }

    fn part(&self, device: &D, index: usize) -> u64 {
        let memory = self.memory.as_ref().expect("a step has begun");
        let first: usize = self.layout.lengths[..index].iter().sum();
        device.address(memory) + 4 * first as u64
    }

    /// Plans a sight's tiles as the next parts.
    fn plan(&mut self, device: &D, index: usize, batch: &StepBatch) {
        let num_blocks = attention::num_blocks(device);
        self.sights[index].first_part = self.layout.lengths.len();
        for nth in 0..self.sights[index].plans.len() {
            let SightPlans { sight, plans, .. } = &mut self.sights[index];
            let (way, plan) = &mut plans[nth];
            plan.make(batch, *way, sight, num_blocks);
            self.words.extend_from_slice(&plan.tiles);
            let length = TILE_WORDS * rounded(plan.num_tiles());
            self.end_part(length);
        }
    }

    /// Ends a part with zeros up to `length` words from its start: token 0 at position 0, the null
    /// block, a tile without tokens.
    fn end_part(&mut self, length: usize) {
        let start: usize = self.layout.lengths.iter().sum();
        self.words.resize(start + length, 0);
        self.layout.lengths.push(length);
    }

    fn send(&mut self, device: &D) -> Result<(), KernelError> {
        self.grow(device, self.words.len())?;
        match &self.memory {
            Some(memory) => device.write(memory, 0, bytes_of(&self.words)),
            None => Ok(()),
        }
    }

    fn grow(&mut self, device: &D, words: usize) -> Result<(), KernelError> {
        if words > self.capacity {
            // The old memory goes first, so that both never count at once.
            self.memory = None;
            self.memory = Some(device.allocate("inputs of a step", 4 * words)?);
            self.capacity = words;
            self.generation += 1;
        }
        Ok(())
    }
}

impl Section {
    fn of(self, batch: &StepBatch) -> &[u32] {
        match self {
            Self::TokenIds => &batch.token_ids,
            Self::Positions => &batch.positions,
            Self::Slots => &batch.slot_mapping,
            Self::WindowSlots => &batch.window.slot_mapping,
            Self::LogitsRows => &batch.logits_rows,
            Self::Tables => &batch.block_tables,
            Self::WindowTables => &batch.window.block_tables,
        }
    }

    fn rounded(self, length: usize) -> usize {
        match self {
            // They grow with every block of every sequence.
            Self::Tables | Self::WindowTables if length > 0 => length.next_power_of_two(),
            // A launch's rows are those that there are.
            _ => length,
        }
    }
}

/// At most a quarter more, so that steps that differ little have the same layout.
fn rounded(count: usize) -> usize {
    match count {
        0..=4 => count,
        _ => count.next_multiple_of(count.next_power_of_two() / 8),
    }
}

#[cfg(test)]
mod tests;
