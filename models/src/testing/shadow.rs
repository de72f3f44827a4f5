//! The shadow of a KV cache: who each slot was written for.

use kernels::{BlockCopy, KvPool, StepBatch};

use super::chain::History;
use super::fault::ShadowFault;

/// What stands where keys and values would.
#[derive(Clone, Copy, Debug)]
struct Slot {
    token: u32,
    position: u32,
    /// History up to and including `token`.
    history: History,
    /// Step that wrote it, and the sequence of that step's batch.
    written: (u64, usize),
}

/// Bytes of a slot outside of the pool.
const SLOT_BYTES: usize = 1 + 4 + 4 + 8;

/// A slot per token of a pool; `None` is poison.
#[derive(Debug)]
pub(super) struct ShadowKv {
    pool: KvPool,
    slots: Vec<Option<Slot>>,
    block_size: usize,
    step: u64,
}

impl ShadowKv {
    /// A pool of poison.
    pub(super) fn new(pool: KvPool, num_blocks: usize, block_size: usize) -> Self {
        Self {
            pool,
            slots: vec![None; num_blocks * block_size],
            block_size,
            step: 0,
        }
    }

    /// Starts a step: what it writes can be told from what earlier steps wrote.
    pub(super) fn begin_step(&mut self) {
        self.step += 1;
    }

    /// Copies a block's first tokens; the rest of the destination becomes poison, because a reader
    /// that relies on it relies on what happened to lie there.
    pub(super) fn copy(&mut self, copy: &BlockCopy) -> Result<(), ShadowFault> {
        let (src, dst) = (copy.src as usize, copy.dst as usize);
        for offset in 0..self.block_size {
            let slot = if offset < copy.num_tokens as usize {
                let held = self.slots[src * self.block_size + offset];
                if held.is_none() {
                    return Err(ShadowFault::CopyOfPoison {
                        src: copy.src,
                        dst: copy.dst,
                        offset,
                    });
                }
                held
            } else {
                None
            };
            self.slots[dst * self.block_size + offset] = slot;
        }
        Ok(())
    }

    /// Bytes of a block: of each slot whether it was written, its token, position and history.
    pub(super) fn block_bytes(&self) -> usize {
        self.block_size * SLOT_BYTES
    }

    /// Copies a block's slots to `out`.
    pub(super) fn read_block(&self, block: usize, out: &mut [u8]) {
        assert_eq!(out.len(), self.block_bytes(), "bytes of a block");
        let slots = &self.slots[block * self.block_size..][..self.block_size];
        for (slot, out) in slots.iter().zip(out.chunks_exact_mut(SLOT_BYTES)) {
            out.fill(0);
            if let Some(slot) = slot {
                out[0] = 1;
                out[1..5].copy_from_slice(&slot.token.to_le_bytes());
                out[5..9].copy_from_slice(&slot.position.to_le_bytes());
                out[9..].copy_from_slice(&slot.history.to_bytes());
            }
        }
    }

    /// Puts back what was read, as if no sequence of the next step had written it.
    pub(super) fn write_block(&mut self, block: usize, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.block_bytes(), "bytes of a block");
        let slots = &mut self.slots[block * self.block_size..][..self.block_size];
        let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        for (slot, bytes) in slots.iter_mut().zip(bytes.chunks_exact(SLOT_BYTES)) {
            *slot = (bytes[0] == 1).then(|| Slot {
                token: number(&bytes[1..]),
                position: number(&bytes[5..]),
                history: History::from_bytes(&bytes[9..]),
                written: (self.step, usize::MAX),
            });
        }
    }

    /// The history of the tokens of sequence `seq` before `position`; that of all begins with `origin`.
    pub(super) fn history_before(
        &self,
        batch: &StepBatch,
        (seq, origin): (usize, History),
        position: usize,
    ) -> Result<History, ShadowFault> {
        let Some(before) = position.checked_sub(1) else {
            return Ok(origin);
        };
        let slot = self.slot_of(self.table(batch, seq), before);
        let held = self.slots[slot].ok_or(ShadowFault::Poison {
            seq,
            position: before,
            slot,
        })?;
        Ok(held.history)
    }

    /// Writes the rows of sequence `seq` behind the history `before` them, and adds the history after
    /// each of them to `histories`.
    pub(super) fn write(
        &mut self,
        batch: &StepBatch,
        (seq, before): (usize, History),
        histories: &mut Vec<History>,
    ) -> Result<(), ShadowFault> {
        let mut history = before;
        for row in batch.query_range(seq) {
            let (token, position) = (batch.token_ids[row], batch.positions[row]);
            let found = batch.slots_in(self.pool)[row] as usize;
            let expected = self.slot_of(self.table(batch, seq), position as usize);
            if found != expected {
                let position = position as usize;
                return Err(ShadowFault::WrongSlot {
                    row,
                    position,
                    found,
                    expected,
                });
            }
            if self.slots[found].is_some_and(|held| held.written.0 == self.step) {
                return Err(ShadowFault::WrittenTwice { slot: found });
            }
            history = history.then(token);
            let written = (self.step, seq);
            self.slots[found] = Some(Slot {
                token,
                position,
                history,
                written,
            });
            histories.push(history);
        }
        Ok(())
    }

    /// Reads the positions of sequence `seq` from `first` on as attention would, and checks that they
    /// are one history behind the one `before` them.
    pub(super) fn walk(
        &self,
        batch: &StepBatch,
        (seq, before): (usize, History),
        first: usize,
    ) -> Result<(), ShadowFault> {
        let mut history = before;
        for position in first..batch.context_lens[seq] as usize {
            let slot = self.slot_of(self.table(batch, seq), position);
            let held = self.slots[slot].ok_or(ShadowFault::Poison {
                seq,
                position,
                slot,
            })?;
            let (step, writer) = held.written;
            if step == self.step && writer != seq {
                return Err(ShadowFault::NotYetComputed {
                    seq,
                    position,
                    slot,
                    writer,
                });
            }
            history = history.then(held.token);
            if held.position as usize != position || held.history != history {
                return Err(ShadowFault::ForeignHistory {
                    seq,
                    position,
                    slot,
                    held_position: held.position as usize,
                    held_token: held.token,
                });
            }
        }
        Ok(())
    }

    fn table<'a>(&self, batch: &'a StepBatch, seq: usize) -> &'a [u32] {
        batch.block_table_in(self.pool, seq)
    }

    fn slot_of(&self, table: &[u32], position: usize) -> usize {
        table[position / self.block_size] as usize * self.block_size + position % self.block_size
    }
}
