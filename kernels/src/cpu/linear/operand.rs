//! Rows in the forms in which products take them.

#![expect(unsafe_code, reason = "tasks write disjoint rows")]

use std::sync::atomic::{AtomicBool, Ordering};

use crate::KernelError;
use crate::cpu::linear::chunked_rows::{ChunkedRows, RowWriter};
use crate::cpu::linear::float_rows::{FloatChunk, FloatRows};
use crate::cpu::linear::integer_chunk::IntegerChunk;
use crate::cpu::linear::integer_tiles::wants_tiles;
use crate::cpu::linear::whole_chunk::WholeChunk;
use crate::cpu::packed::{GROUP, PackedLinear};
use crate::cpu::pairs::Bf16Chunk;
use crate::cpu::pool::Pool;
use crate::cpu::simd::Isa;

/// Forms of inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forms {
    floats: bool,
    integers: bool,
    whole: bool,
    bf16: bool,
}

/// The forms that the weights packed so far take.
#[derive(Default)]
pub(crate) struct FormsInUse {
    floats: AtomicBool,
    integers: AtomicBool,
    bf16: AtomicBool,
}

/// Rows besides the floats that they are made of.
pub(crate) struct Operand {
    pub(super) floats: ChunkedRows<FloatChunk>,
    pub(super) integers: ChunkedRows<IntegerChunk>,
    pub(super) whole: ChunkedRows<WholeChunk>,
    pub(super) bf16: ChunkedRows<Bf16Chunk>,
    /// Forms and number of the rows that are there.
    made: (Forms, usize),
}

/// Takes the rows of an [`Operand`] from tasks.
#[derive(Clone, Copy)]
pub(crate) struct OperandWriter {
    floats: Option<RowWriter<FloatChunk>>,
    integers: Option<RowWriter<IntegerChunk>>,
    whole: Option<RowWriter<WholeChunk>>,
    bf16: Option<RowWriter<Bf16Chunk>>,
}

impl Forms {
    /// Those that products of `rows` rows with `weight` take.
    pub(crate) fn of(isa: Isa, weight: &PackedLinear, rows: usize) -> Self {
        let tiles = wants_tiles(isa, rows);
        Self {
            floats: weight.has_floats() && FloatRows::wants_chunks(rows, weight.in_features()),
            integers: weight.has_integers() && !tiles,
            whole: weight.has_integers() && tiles,
            bf16: weight.has_pairs(),
        }
    }

    /// Whether these are all that `wanted` are.
    fn include(self, wanted: Self) -> bool {
        (self.floats || !wanted.floats)
            && (self.integers || !wanted.integers)
            && (self.whole || !wanted.whole)
            && (self.bf16 || !wanted.bf16)
    }
}

impl FormsInUse {
    /// Products with `weight` are to come.
    pub(crate) fn add(&self, weight: &PackedLinear) {
        self.floats.fetch_or(weight.has_floats(), Ordering::Relaxed);
        self.integers
            .fetch_or(weight.has_integers(), Ordering::Relaxed);
        self.bf16.fetch_or(weight.has_pairs(), Ordering::Relaxed);
    }

    /// Those that products of `rows` rows of `depth` may take.
    pub(crate) fn of(&self, isa: Isa, rows: usize, depth: usize) -> Forms {
        let chunks = FloatRows::wants_chunks(rows, depth);
        let integers = depth.is_multiple_of(GROUP) && self.integers.load(Ordering::Relaxed);
        let tiles = wants_tiles(isa, rows);
        Forms {
            floats: chunks && self.floats.load(Ordering::Relaxed),
            integers: integers && !tiles,
            whole: integers && tiles,
            bf16: self.bf16.load(Ordering::Relaxed),
        }
    }
}

impl Operand {
    /// No rows, and no room for any.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new() -> Result<Self, KernelError> {
        Ok(Self {
            floats: ChunkedRows::new()?,
            integers: ChunkedRows::new()?,
            whole: ChunkedRows::new()?,
            bf16: ChunkedRows::new()?,
            made: (Forms::default(), 0),
        })
    }

    /// The rows have changed.
    pub(crate) fn clear(&mut self) {
        self.made = (Forms::default(), 0);
    }

    /// Whether `rows` rows are there in these forms.
    pub(crate) fn has(&self, forms: Forms, rows: usize) -> bool {
        self.made.0.include(forms) && (self.made.1 == rows || forms == Forms::default())
    }

    /// Begins anew, with `rows` of `depth` that come later; `max_rows` is the most that will ever
    /// come, so that steps like this one find room.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn writer(
        &mut self,
        forms: Forms,
        (rows, max_rows): (usize, usize),
        depth: usize,
    ) -> Result<OperandWriter, KernelError> {
        self.reserve(forms, max_rows, depth)?;
        self.made = (forms, rows);
        Ok(OperandWriter {
            floats: forms.floats.then(|| self.floats.writer(rows, depth)),
            integers: forms.integers.then(|| self.integers.writer(rows, depth)),
            whole: forms.whole.then(|| self.whole.writer(rows, depth)),
            bf16: forms.bf16.then(|| self.bf16.writer(rows, depth)),
        })
    }

    /// Takes the rows of `input` `[_, depth]`; for `max_rows` see [`Self::writer`].
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn fill(
        &mut self,
        (pool, isa): (&Pool, Isa),
        forms: Forms,
        input: &[f32],
        max_rows: usize,
        depth: usize,
    ) -> Result<(), KernelError> {
        self.reserve(forms, max_rows, depth)?;
        if forms.floats {
            self.floats.fill(pool, isa, input, depth);
        }
        if forms.integers {
            self.integers.fill(pool, isa, input, depth);
        }
        if forms.whole {
            self.whole.fill(pool, isa, input, depth);
        }
        if forms.bf16 {
            self.bf16.fill(pool, isa, input, depth);
        }
        self.made = (forms, input.len() / depth);
        Ok(())
    }

    fn reserve(&mut self, forms: Forms, rows: usize, depth: usize) -> Result<(), KernelError> {
        if forms.floats {
            self.floats.reserve(rows, depth)?;
        }
        if forms.integers {
            self.integers.reserve(rows, depth)?;
        }
        if forms.whole {
            self.whole.reserve(rows, depth)?;
        }
        if forms.bf16 {
            self.bf16.reserve(rows, depth)?;
        }
        Ok(())
    }
}

impl OperandWriter {
    /// `input` `[_, depth]` are the rows from row `first` on.
    ///
    /// # Safety
    /// The operand is still there, and nobody else touches these rows.
    ///
    /// # Panics
    /// If there are fewer.
    pub(crate) unsafe fn write(&self, isa: Isa, first: usize, input: &[f32]) {
        // SAFETY: the caller's promise, of each form.
        unsafe {
            if let Some(floats) = &self.floats {
                floats.write(isa, first, input);
            }
            if let Some(integers) = &self.integers {
                integers.write(isa, first, input);
            }
            if let Some(whole) = &self.whole {
                whole.write(isa, first, input);
            }
            if let Some(bf16) = &self.bf16 {
                bf16.write(isa, first, input);
            }
        }
    }
}
