//! Adapters beside a decoder's weights, and the rows of a step that use them.

use kernels::{
    ActivateGated, Activation, AddLora, KernelError, LoraBackend, LoraRows, LoraView, QkvShape,
    StepBatch, shrunk_size,
};

use super::feed_forward::Rows;
use super::weights::{DOWN, GATE_UP, O, QKV};
use crate::config::ModelConfig;
use crate::limits::{Limits, LoraLimits};
use crate::{AdapterSlots, LoraAdapter};

/// A product of a layer.
#[derive(Clone, Copy)]
pub(super) enum Site {
    Qkv,
    O,
    /// The first of a feed-forward network, with or without a gate; experts have no updates.
    GateUp,
    Down,
}

/// Where in a step a product stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    layer: usize,
    site: Site,
    which: Rows,
}

impl Place {
    /// A product of a layer, of these rows.
    pub(super) fn new(layer: usize, site: Site, which: Rows) -> Self {
        Self { layer, site, which }
    }
}

/// The adapters' weights, room for what steps make of them, and which rows use which.
///
/// Life cycle of a step: [`Adapters::begin_step`], then a call after each product; where only some
/// rows go on, [`Adapters::select`] before it.
pub(super) struct Adapters<B: LoraBackend> {
    num_slots: usize,
    max_rank: usize,
    sizes: Sizes,
    /// By layer, site and slot.
    layers: Vec<[Vec<Option<B::Lora>>; NUM_SITES]>,
    /// `[tokens, ranks of three projections]`
    shrunk: B::Buffer,
    /// Those of the step, and of the rows that go on; by [`Rows`].
    groups: [Vec<LoraRows>; 2],
}

/// Output features of the projections that others are stacked behind.
struct Sizes {
    q: usize,
    kv: usize,
    /// None in a network without a gate.
    gate: usize,
}

const NUM_SITES: usize = 4;

impl<B: LoraBackend> Adapters<B> {
    /// Room for adapters, or for none.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn new(
        backend: &B,
        config: &ModelConfig,
        qkv: QkvShape,
        limits: &Limits,
        lora: Option<LoraLimits>,
    ) -> Result<Self, KernelError> {
        let (num_slots, max_rank) = lora.map_or((0, 0), |l| (l.max_loras, l.max_lora_rank));
        let (tokens, groups) = match num_slots {
            0 => (0, 0),
            _ => (limits.max_num_batched_tokens, limits.max_num_seqs),
        };
        let empty = || (0..num_slots).map(|_| None).collect();
        let layer = |_| [empty(), empty(), empty(), empty()];
        Ok(Self {
            num_slots,
            max_rank,
            sizes: Sizes {
                q: qkv.q_size(),
                kv: qkv.kv_size(),
                gate: match config.mlp_gate {
                    true => config.intermediate_size,
                    false => 0,
                },
            },
            layers: (0..config.num_layers()).map(layer).collect(),
            shrunk: backend.exact_buffer(tokens, shrunk_size([max_rank; QKV.len()]))?,
            groups: [Vec::with_capacity(groups), Vec::with_capacity(groups)],
        })
    }

    /// Whether there is room for any.
    pub(super) fn is_enabled(&self) -> bool {
        self.num_slots > 0
    }

    /// Takes the rows of a step that use adapters.
    ///
    /// # Panics
    /// If the batch names a slot that there is not.
    pub(super) fn begin_step(&mut self, batch: &StepBatch) {
        let all = &mut self.groups[Rows::All as usize];
        all.clear();
        for seq in 0..batch.adapters.len() {
            let Some(slot) = batch.adapter(seq) else {
                continue;
            };
            let (rows, slot) = (batch.query_range(seq), slot as usize);
            assert!(slot < self.num_slots, "there is no slot {slot}");
            match all.last_mut() {
                Some(last) if last.slot == slot && last.rows.end == rows.start => {
                    last.rows.end = rows.end;
                }
                _ => all.push(LoraRows { rows, slot }),
            }
        }
    }

    /// Takes those of the step's rows that go on: `rows`, ascending.
    pub(super) fn select(&mut self, rows: &[u32]) {
        let [all, sampled] = &mut self.groups;
        sampled.clear();
        for group in all {
            let before = |end: usize| rows.partition_point(|&row| (row as usize) < end);
            let rows = before(group.rows.start)..before(group.rows.end);
            if !rows.is_empty() {
                let slot = group.slot;
                sampled.push(LoraRows { rows, slot });
            }
        }
    }

    /// Adds to a product's output what the rows' adapters change.
    ///
    /// # Errors
    /// What the device reports.
    pub(super) fn add(
        &mut self,
        backend: &mut B,
        place: Place,
        input: &B::Buffer,
        out: &mut B::Buffer,
    ) -> Result<(), KernelError> {
        if !self.changes(place) {
            return Ok(());
        }
        backend.add_lora(AddLora {
            input,
            weights: &self.layers[place.layer][place.site as usize],
            groups: &self.groups[place.which as usize],
            shrunk: &mut self.shrunk,
            out,
        })
    }

    /// The same after a gated unit, whose products are in `gate_up`.
    ///
    /// # Errors
    /// What the device reports.
    pub(super) fn add_gated(
        &mut self,
        backend: &mut B,
        place: Place,
        (input, activation): (&B::Buffer, Activation),
        (gate_up, out): (&mut B::Buffer, &mut B::Buffer),
    ) -> Result<(), KernelError> {
        if !self.changes(place) {
            return Ok(());
        }
        self.add(backend, place, input, gate_up)?;
        backend.activate_gated(ActivateGated {
            gate_up,
            groups: &self.groups[place.which as usize],
            activation,
            out,
        })
    }

    /// Whether a row's adapter changes a product.
    fn changes(&self, place: Place) -> bool {
        let weights = &self.layers[place.layer][place.site as usize];
        let groups = self.groups[place.which as usize].iter();
        groups
            .map(|group| &weights[group.slot])
            .any(Option::is_some)
    }

    /// Packs an adapter of this model into a slot.
    ///
    /// # Errors
    /// `OutOfMemory`; the slot is then as before.
    ///
    /// # Panics
    /// If there is no such slot, or the rank is larger than what there is room for.
    pub(super) fn load(
        &mut self,
        backend: &B,
        slot: usize,
        adapter: &LoraAdapter,
    ) -> Result<(), KernelError> {
        assert!(slot < self.num_slots, "there is no slot {slot}");
        let Sizes { q, kv, gate } = self.sizes;
        let sites: [&[(&str, usize)]; NUM_SITES] = [
            &[(QKV[0], 0), (QKV[1], q), (QKV[2], q + kv)],
            &[(O[0], 0)],
            &[(GATE_UP[0], 0), (GATE_UP[1], gate)],
            &[(DOWN[0], 0)],
        ];
        let mut packed = Vec::with_capacity(self.layers.len() * NUM_SITES);
        for layer in 0..self.layers.len() {
            for projections in sites {
                let update = |&(name, first)| adapter.update(layer, name, first);
                let updates: Vec<LoraView<'_>> = projections.iter().filter_map(update).collect();
                let fits = |update: &LoraView<'_>| update.a.rows <= self.max_rank;
                assert!(updates.iter().all(fits), "a rank exceeds {}", self.max_rank);
                packed.push(match updates.is_empty() {
                    true => None,
                    false => Some(backend.pack_lora(&updates)?),
                });
            }
        }
        let sites = self.layers.iter_mut().flatten();
        sites
            .zip(packed)
            .for_each(|(slots, lora)| slots[slot] = lora);
        Ok(())
    }

    /// Empties a slot.
    pub(super) fn unload(&mut self, slot: usize) {
        let sites = self.layers.iter_mut().flatten();
        sites.for_each(|slots| slots[slot] = None);
    }
}

impl<B: LoraBackend> AdapterSlots for super::Decoder<B> {
    fn num_slots(&self) -> usize {
        self.adapters.num_slots
    }

    fn load(&mut self, slot: usize, adapter: &LoraAdapter) -> Result<(), KernelError> {
        self.adapters.load(&self.backend, slot, adapter)
    }

    fn unload(&mut self, slot: usize) {
        self.adapters.unload(slot);
    }
}
