//! Tokens chosen where their logits are.

use std::collections::VecDeque;

use crate::cuda::Cuda;
use crate::cuda::arguments::SampleArguments;
use crate::cuda::bytes::bytes_of_mut;
use crate::cuda::device::{CudaDevice, Geometry, Staged};
use crate::{
    ActivationDtype, Draw, DrawnLogprobs, DrawnToken, KernelError, NO_TOKEN, ReadDrawn, Sample,
};

/// `SELECTION_THREADS` in `kernels/cuda/selection.cuh`.
const THREADS: usize = 1024;
/// Words of a draw, as the kernel reads it.
const DRAW_WORDS: usize = 8;
/// Words of one of the likeliest tokens.
const TOP_WORDS: usize = 2;
const MAX_TOP: usize = Draw::MAX_TOP as usize;

/// How rows are drawn, and what comes of it.
pub(crate) struct Draws<D: CudaDevice> {
    /// `Draw` each.
    draws: Staged<D>,
    words: Vec<u32>,
    /// Of as many rows: tokens; log probabilities of these; the likeliest of each row.
    results: Staged<D>,
    /// The row of each result that the device has now.
    last_rows: Vec<usize>,
    /// What nobody has asked for yet, the earliest first.
    unread: VecDeque<Unread<D>>,
    /// For what is asked for.
    result_words: Vec<u32>,
}

/// Results that are on their way.
struct Unread<D: CudaDevice> {
    read: D::Read,
    words: usize,
}

impl<D: CudaDevice> Draws<D> {
    pub(crate) fn new() -> Self {
        Self {
            draws: Staged::new("draws"),
            words: Vec::new(),
            results: Staged::new("drawn tokens"),
            last_rows: Vec::new(),
            unread: VecDeque::new(),
            result_words: Vec::new(),
        }
    }

    /// Room for `rows` rows.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, device: &D, rows: usize) -> Result<(), KernelError> {
        self.draws.reserve(device, DRAW_WORDS * rows)?;
        let result_words = rows * (2 + TOP_WORDS * MAX_TOP);
        self.results.reserve(device, result_words)
    }

    /// Whether the last step has drawn this row, and all before it: only then is a row's index that of
    /// its result.
    pub(crate) fn has_drawn(&self, row: usize) -> bool {
        self.last_rows.get(row) == Some(&row)
    }

    /// Where the last step has left its tokens; no address before the first room.
    pub(crate) fn tokens(&self, device: &D) -> u64 {
        self.results.place(device).unwrap_or(0)
    }

    /// Notes how `row` is drawn.
    fn push(&mut self, row: usize, draw: &Draw) {
        // Zero times this is still zero where the temperature is next to nothing.
        let scale = match draw.temperature {
            0.0 => 0.0,
            temperature => temperature.recip().min(f32::MAX),
        };
        // 53 bits, all of which fit.
        let place = (draw.place * 2f64.powi(64)) as u64;
        let num_top = draw.logprobs.map_or(0, |top| 1 + top);
        self.words.extend([
            row as u32,
            scale.to_bits(),
            draw.top_k.unwrap_or(0),
            draw.top_p.to_bits(),
            draw.min_p.to_bits(),
            place as u32,
            (place >> 32) as u32,
            num_top,
        ]);
    }
}

impl<D: CudaDevice> Cuda<D> {
    /// See [`Sample`].
    ///
    /// # Errors
    /// `Device`; `OutOfMemory` of more rows than were expected.
    pub(crate) fn draw(&mut self, op: &Sample<'_, Self>) -> Result<(), KernelError> {
        assert_eq!(op.logits.dtype, ActivationDtype::F32, "logits are exact");
        let (device, state) = (&self.device, &mut self.draws);
        state.words.clear();
        state.last_rows.clear();
        for (row, draw) in op.draws.iter().enumerate() {
            let Some(draw) = draw else { continue };
            let top = draw.logprobs.unwrap_or(0);
            assert!(top <= Draw::MAX_TOP, "{top} log probabilities");
            state.push(row, draw);
            state.last_rows.push(row);
        }
        let count = state.last_rows.len();
        assert!(count > 0, "a row is to be drawn");
        state.reserve(device, count)?;
        let at = state.results.address(device);
        let arguments = SampleArguments {
            logits: op.logits.values(device, op.draws.len()).address,
            draws: state.draws.send(device, &state.words)?,
            tokens: at,
            logprobs: at + 4 * count as u64,
            top: at + 8 * count as u64,
            cols: op.logits.cols as u32,
            max_top: Draw::MAX_TOP,
        };
        device.launch(Geometry::new([count, 1], THREADS), &arguments)?;
        // No more is read than was asked for.
        let draws = op.draws.iter().flatten();
        let words_of_row = match draws.filter_map(|draw| draw.logprobs).max() {
            None => 1,
            Some(0) => 2,
            Some(_) => 2 + TOP_WORDS * MAX_TOP,
        };
        let words = count * words_of_row;
        let read = state.results.start_read(device, words)?;
        state.unread.push_back(Unread { read, words });
        Ok(())
    }

    /// See [`ReadDrawn`].
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn take_drawn(&mut self, op: &mut ReadDrawn<'_, Self>) -> Result<(), KernelError> {
        let (device, state) = (&self.device, &mut self.draws);
        let unread = state.unread.pop_front();
        let Unread { read, words } = unread.expect("something was sampled");
        state.result_words.resize(words, NO_TOKEN);
        device.finish_read(read, bytes_of_mut(&mut state.result_words))?;
        let of_rows = op.draws;
        let draws = || of_rows.iter().flatten();
        let results = Results {
            words: &state.result_words,
            count: draws().count(),
        };
        op.drawn.clear();
        let mut drawn = draws().enumerate().map(|(at, draw)| results.of(at, draw));
        let of_row = |draw: &Option<Draw>| draw.as_ref().and_then(|_| drawn.next());
        op.drawn.extend(of_rows.iter().map(of_row));
        op.host.clear();
        for row in (0..of_rows.len()).filter(|&row| of_rows[row].is_none()) {
            op.logits.append_row(device, row, op.host)?;
        }
        Ok(())
    }
}

/// What the kernel left.
struct Results<'a> {
    words: &'a [u32],
    /// Rows that were drawn.
    count: usize,
}

impl Results<'_> {
    /// Of the `at`-th row that was drawn.
    fn of(&self, at: usize, draw: &Draw) -> DrawnToken {
        let token = self.words[at];
        let wanted = draw.logprobs.filter(|_| token != NO_TOKEN);
        let logprobs = wanted.map(|count| {
            let start = 2 * self.count + at * TOP_WORDS * MAX_TOP;
            let end = start + TOP_WORDS * count as usize;
            let likely = self.words.get(start..end).unwrap_or_default();
            let pairs = likely.chunks_exact(TOP_WORDS);
            // A short row has no more.
            let there = pairs.filter(|pair| pair[0] != NO_TOKEN);
            DrawnLogprobs {
                token: f32::from_bits(self.words[self.count + at]),
                top: there
                    .map(|pair| (pair[0], f32::from_bits(pair[1])))
                    .collect(),
            }
        });
        DrawnToken { token, logprobs }
    }
}
