//! The machine's tiles against plain Rust.

#![expect(unsafe_code, reason = "loads and stores through pointers")]

use crate::InstructionSet;
use crate::cpu::simd::{Isa, Simd};
use crate::cpu::tiles::plain::PlainTiles;
use crate::cpu::tiles::{TILE_ROW_BYTES, TileKernel, TileShape, Tiles};

const STRIDE: usize = TILE_ROW_BYTES + 8;
type Bytes = [u8; 16 * STRIDE];

/// Products of `left` and `right`, after sums of `first` and after zeros.
struct Products<'a> {
    rows: usize,
    depth_bytes: usize,
    first: &'a Bytes,
    left: &'a Bytes,
    right: &'a Bytes,
    out: &'a mut [Bytes; 2],
}

impl TileKernel for Products<'_> {
    #[inline(always)]
    fn run<S: Simd, T: Tiles>(self, _simd: S, tiles: &mut T) {
        let sums = TileShape::whole(self.rows);
        let left = TileShape::of(self.rows, self.depth_bytes);
        let right = TileShape::whole(self.depth_bytes / 4);
        let unused = TileShape::default();
        tiles.configure([sums, sums, unused, unused, left, unused, right, unused]);
        let [a, b] = self.out;
        // SAFETY: the arrays have 16 rows.
        unsafe {
            tiles.load::<0>(self.first.as_ptr(), STRIDE);
            tiles.zero::<1>();
            tiles.load::<4>(self.left.as_ptr(), STRIDE);
            tiles.load::<6>(self.right.as_ptr(), STRIDE);
            tiles.dot_bf16::<0, 4, 6>();
            tiles.dot_bf16::<1, 4, 6>();
            tiles.store::<0>(a.as_mut_ptr(), STRIDE);
            tiles.store::<1>(b.as_mut_ptr(), STRIDE);
        }
    }
}

/// Words of f32 and pairs of bfloat16 alike: of moderate size, or anything that is a number.
fn words(state: &mut u32, moderate: bool) -> Bytes {
    let mut bytes = [0; 16 * STRIDE];
    for half in bytes.chunks_exact_mut(2) {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let bits = (*state >> 16) as u16;
        let exponent = match moderate {
            true => 120 + (bits >> 7 & 15),
            // No infinities and no NaN.
            false => bits >> 7 & 0xfe,
        };
        let bits = bits & 0x807f | exponent << 7;
        half.copy_from_slice(&bits.to_le_bytes());
    }
    bytes
}

#[test]
fn the_machine_computes_what_is_defined() {
    let Some(isa) = Isa::new(InstructionSet::Amx) else {
        eprintln!("UNTESTED on this machine: {}", InstructionSet::Amx);
        return;
    };
    let mut state = 1;
    for (rows, depth_bytes, moderate) in [
        (16, 64, true),
        (16, 64, false),
        (1, 64, true),
        (7, 16, false),
        (16, 32, true),
    ] {
        for _ in 0..20 {
            let [first, left, right] = [(); 3].map(|()| words(&mut state, moderate));
            let mut results = [[[0; 16 * STRIDE]; 2]; 2];
            let [got, want] = &mut results;
            let products = |out| Products {
                rows,
                depth_bytes,
                first: &first,
                left: &left,
                right: &right,
                out,
            };
            isa.run_tiles(products(got));
            products(want).run(crate::cpu::portable::Portable, &mut PlainTiles::new());
            for (got, want) in got.iter().zip(want) {
                let floats = |bytes: &Bytes| -> Vec<f32> {
                    let words = bytes.chunks_exact(4);
                    words
                        .map(|w| f32::from_le_bytes(w.try_into().unwrap()))
                        .collect()
                };
                let same = floats(got).iter().zip(floats(want)).all(|(got, want)| {
                    got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan()
                });
                assert!(same, "{rows} rows, {depth_bytes} bytes, {moderate}");
            }
        }
    }
}
