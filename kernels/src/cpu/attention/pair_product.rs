//! Rows of bfloat16 times panels of pairs, by what the machine has for it.

#![expect(
    unsafe_code,
    reason = "operands and sums are accessed through pointers"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "indices count rows and panels of a tile"
)]

use half::bf16;

use crate::cpu::pairs::{
    BLOCK_PANELS, BLOCK_ROWS, Bf16Chunk, MOST_ROWS, STEP_PAIRS, STREAMS, TileProduct, VECTOR,
    accumulate, shapes, with_rows,
};
use crate::cpu::simd::{Kernel, LANES, Simd};
use crate::cpu::tiles::{TILE_ROWS, Tiles};

/// Panels of a tile of sums in registers.
const TILE_PANELS: usize = 2;

/// `sums = input * panels`.
#[derive(Clone, Copy)]
pub(super) struct PairProduct<'a> {
    pub(super) input: &'a [Bf16Chunk],
    /// Pair 0 of the first panel.
    pub(super) panels: *const bf16,
    /// Elements from one panel to the next.
    pub(super) panel_len: usize,
    pub(super) num_panels: usize,
    /// The first of the steps, of 16 pairs, of the rows and of the panels.
    pub(super) first_step: usize,
    pub(super) num_steps: usize,
    /// The first row's sums, 16 of each panel.
    pub(super) sums: *mut f32,
    /// Elements from one row's sums to the next.
    pub(super) stride: usize,
    /// Whether the sums are added to.
    pub(super) goes_on: bool,
}

/// What multiplies rows with panels. Elements are added in ascending order whatever the rows and the
/// steps of a product are, so that steps may be divided among products.
pub(super) trait Multiply {
    /// Most rows of a product.
    const ROWS: usize;

    /// Computes `product`.
    ///
    /// # Safety
    /// The panels have these steps, and the rows these sums.
    unsafe fn multiply<S: Simd>(&mut self, simd: S, product: &PairProduct<'_>);
}

/// Dot products of vectors.
pub(super) struct Dots;

/// Tiles.
pub(super) struct OnTiles<'a, T> {
    tiles: &'a mut T,
    /// Rows that the tiles are configured for.
    rows: usize,
}

impl Multiply for Dots {
    const ROWS: usize = MOST_ROWS;

    #[inline(always)]
    unsafe fn multiply<S: Simd>(&mut self, simd: S, product: &PairProduct<'_>) {
        let mut panel = 0;
        while panel < product.num_panels {
            let product = *product;
            if product.num_panels - panel >= TILE_PANELS {
                with_rows!(product.input.len(), ROWS => {
                    simd.outline(DotTile::<ROWS, TILE_PANELS> { product, panel });
                });
                panel += TILE_PANELS;
            } else {
                with_rows!(product.input.len(), ROWS => {
                    simd.outline(DotTile::<ROWS, 1> { product, panel });
                });
                panel += 1;
            }
        }
    }
}

/// `R` rows times `P` panels.
struct DotTile<'a, const R: usize, const P: usize> {
    product: PairProduct<'a>,
    panel: usize,
}

impl<const R: usize, const P: usize> Kernel for DotTile<'_, R, P> {
    const DOTS_BF16: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let input = self.product.input.first_chunk::<R>();
        let input = input.expect("the rows of a tile");
        let first = self.product.first_step * STEP_PAIRS;
        let pairs = self.product.num_steps * STEP_PAIRS;
        let mut panels = [std::ptr::null::<i16>(); P];
        for p in 0..P {
            panels[p] = self.product.panel(self.panel + p, first).cast();
        }
        let mut acc = [[simd.splat(0.0); P]; R];
        // SAFETY: as `Multiply::multiply` asks for.
        unsafe {
            if self.product.goes_on {
                for r in 0..R {
                    for p in 0..P {
                        acc[r][p] = simd.load(self.product.sums(r, self.panel + p));
                    }
                }
            }
            accumulate(simd, (input, first), panels, pairs, &mut acc);
            for r in 0..R {
                for p in 0..P {
                    simd.store(self.product.sums(r, self.panel + p), acc[r][p]);
                }
            }
        }
    }
}

impl<'a, T: Tiles> OnTiles<'a, T> {
    /// Tiles that are configured for nothing.
    pub(super) fn new(tiles: &'a mut T) -> Self {
        Self { tiles, rows: 0 }
    }
}

impl<T: Tiles> Multiply for OnTiles<'_, T> {
    const ROWS: usize = BLOCK_ROWS;

    #[inline(always)]
    unsafe fn multiply<S: Simd>(&mut self, simd: S, product: &PairProduct<'_>) {
        let rows = product.input.len();
        if self.rows != rows {
            self.tiles.configure(shapes(rows));
            self.rows = rows;
        }
        let mut panel = 0;
        while panel < product.num_panels {
            let left = product.num_panels - panel;
            // SAFETY: the caller's promise.
            unsafe {
                panel += match rows {
                    ..=TILE_ROWS if left >= STREAMS => {
                        product.few_rows::<S, T, STREAMS>(simd, self.tiles, panel)
                    }
                    ..=TILE_ROWS => product.few_rows::<S, T, 1>(simd, self.tiles, panel),
                    _ if left >= BLOCK_PANELS => {
                        product.block::<T, BLOCK_PANELS>(self.tiles, panel)
                    }
                    _ => product.block::<T, 1>(self.tiles, panel),
                };
            }
        }
    }
}

impl PairProduct<'_> {
    /// At most 16 rows times `P` panels, on tiles; returns `P`.
    ///
    /// # Safety
    /// As for [`Multiply::multiply`].
    #[inline(always)]
    unsafe fn few_rows<S: Simd, T: Tiles, const P: usize>(
        &self,
        simd: S,
        tiles: &mut T,
        panel: usize,
    ) -> usize {
        let bytes = self.stride * size_of::<f32>();
        // SAFETY: the caller's promise.
        unsafe {
            self.begin::<0, T>(tiles, self.sums(0, panel));
            if P == STREAMS {
                self.begin::<1, T>(tiles, self.sums(0, panel + 1));
                self.begin::<2, T>(tiles, self.sums(0, panel + 2));
                self.begin::<3, T>(tiles, self.sums(0, panel + 3));
            }
            self.tiles::<P>(panel).few_rows::<false, S, T>(simd, tiles);
            tiles.store::<0>(self.sums(0, panel).cast(), bytes);
            if P == STREAMS {
                tiles.store::<1>(self.sums(0, panel + 1).cast(), bytes);
                tiles.store::<2>(self.sums(0, panel + 2).cast(), bytes);
                tiles.store::<3>(self.sums(0, panel + 3).cast(), bytes);
            }
        }
        P
    }

    /// More rows, at most 32, times `P` panels, on tiles; returns `P`.
    ///
    /// # Safety
    /// As for [`Multiply::multiply`].
    #[inline(always)]
    unsafe fn block<T: Tiles, const P: usize>(&self, tiles: &mut T, panel: usize) -> usize {
        let bytes = self.stride * size_of::<f32>();
        // SAFETY: the caller's promise.
        unsafe {
            self.begin::<0, T>(tiles, self.sums(0, panel));
            self.begin::<2, T>(tiles, self.sums(TILE_ROWS, panel));
            if P == BLOCK_PANELS {
                self.begin::<1, T>(tiles, self.sums(0, panel + 1));
                self.begin::<3, T>(tiles, self.sums(TILE_ROWS, panel + 1));
            }
            self.tiles::<P>(panel).block(tiles);
            tiles.store::<0>(self.sums(0, panel).cast(), bytes);
            tiles.store::<2>(self.sums(TILE_ROWS, panel).cast(), bytes);
            if P == BLOCK_PANELS {
                tiles.store::<1>(self.sums(0, panel + 1).cast(), bytes);
                tiles.store::<3>(self.sums(TILE_ROWS, panel + 1).cast(), bytes);
            }
        }
        P
    }

    /// What tile `N` begins with: the sums at `sums`, or zeros.
    ///
    /// # Safety
    /// The tile's rows have sums there.
    #[inline(always)]
    unsafe fn begin<const N: u8, T: Tiles>(&self, tiles: &mut T, sums: *const f32) {
        if self.goes_on {
            // SAFETY: the caller's promise.
            unsafe { tiles.load::<N>(sums.cast(), self.stride * size_of::<f32>()) };
        } else {
            tiles.zero::<N>();
        }
    }

    /// `P` panels from `panel` on.
    #[inline(always)]
    fn tiles<const P: usize>(&self, panel: usize) -> TileProduct<P> {
        let mut panels = [std::ptr::null::<u8>(); P];
        for p in 0..P {
            panels[p] = self.panel(panel + p, 0).cast();
        }
        TileProduct {
            input: self.input.as_ptr(),
            stride: self.input.len(),
            panels,
            steps: self.first_step..self.first_step + self.num_steps,
        }
    }

    /// Panel `panel` from pair `pair` on.
    #[inline(always)]
    fn panel(&self, panel: usize, pair: usize) -> *const bf16 {
        let start = self.panels.wrapping_add(panel * self.panel_len);
        start.wrapping_add(pair * VECTOR)
    }

    /// Sums of row `row` and panel `panel`.
    #[inline(always)]
    fn sums(&self, row: usize, panel: usize) -> *mut f32 {
        self.sums.wrapping_add(row * self.stride + panel * LANES)
    }
}
