//! The operations that make pairs of bfloat16, and their products.

use std::array::from_fn;

use half::bf16;

use super::{Floats, Pairs, Result, assert_same, bits, load, store};
use crate::cpu::simd::{Isa, Kernel, LANES, Simd, bf16_position};
use crate::cpu::tiles::{TileKernel, Tiles};

/// What [`Simd::dot_bf16`] makes of pairs of bfloat16 `a` and `b`.
struct OnBf16<'a> {
    sums: Floats,
    a: Pairs,
    b: Pairs,
    dot: &'a mut Floats,
}

impl Kernel for OnBf16<'_> {
    const DOTS_BF16: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: both arrays have 32 elements.
        let [a, b] =
            [self.a, self.b].map(|pairs| unsafe { simd.load_pairs(pairs.as_ptr().cast()) });
        *self.dot = store(simd, simd.dot_bf16(load(simd, &self.sums), a, b));
    }
}

/// What the operations that make bfloat16, or pairs of them, make of `low` and `high`.
struct ToBf16<'a> {
    low: Floats,
    high: Floats,
    stored: &'a mut [bf16; LANES],
    rounded: &'a mut Pairs,
    zipped: &'a mut Pairs,
}

impl Kernel for ToBf16<'_> {
    const DOTS_BF16: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (low, high) = (load(simd, &self.low), load(simd, &self.high));
        let mut rows = [[bf16::ZERO; LANES]; 2];
        for lane in 0..LANES {
            rows[0][bf16_position(lane)] = bf16::from_f32(self.low[lane]);
            rows[1][bf16_position(lane)] = bf16::from_f32(self.high[lane]);
        }
        // SAFETY: rows have 16 elements, pairs 32.
        unsafe {
            simd.store_bf16(self.stored.as_mut_ptr(), low);
            let rounded = simd.round_pairs(low, high);
            simd.store_pairs(self.rounded.as_mut_ptr().cast(), rounded);
            let zipped = simd.zip_bf16(rows[0].as_ptr(), rows[1].as_ptr());
            simd.store_pairs(self.zipped.as_mut_ptr().cast(), zipped);
        }
    }
}

#[test]
fn pairs_of_bfloat16_are_summed_in_f32() {
    let pairs = |values: [f32; 2]| values.map(|x| bf16::from_f32(x).to_bits() as i16);
    let mut state = 4;
    for isa in Isa::available() {
        let dot = |sums: Floats, a: Pairs, b: Pairs| {
            let mut dot = [f32::NAN; LANES];
            isa.run(OnBf16 {
                sums,
                a,
                b,
                dot: &mut dot,
            });
            dot
        };
        // Beyond 2^24 floats are even: products are added one by one, the second one first.
        let special = [
            ([1.0, 1.0], [1.0, 1.0], 16_777_216.0, 16_777_216.0),
            ([-1.0, 3.0], [1.0, 1.0], 16_777_216.0, 16_777_220.0),
            ([3.0, -1.0], [1.0, 1.0], 16_777_216.0, 16_777_218.0),
            ([f32::INFINITY, 1.0], [2.0, 1.0], 3.0, f32::INFINITY),
            ([1.0, f32::INFINITY], [2.0, 0.0], 3.0, f32::NAN),
            ([1.0, 1.0], [f32::NAN, 1.0], 0.0, f32::NAN),
            ([3e38, 1.0], [-3e38, 1.0], 1.0, f32::NEG_INFINITY),
            ([0.0, 0.0], [0.0, 5.0], -7.25, -7.25),
        ];
        for (a, b, sum, want) in special {
            let got = dot([sum; LANES], [pairs(a); LANES], [pairs(b); LANES]);
            assert_same(isa, &[("dot_bf16", got)], &[("dot_bf16", [want; LANES])]);
        }
        for _ in 0..200 {
            // Exponents between -3 and 0.
            let mut values = || -> Pairs {
                from_fn(|_| from_fn(|_| (bits(&mut state) as u16 & 0x81ff | 0x3e00) as i16))
            };
            let (a, b) = (values(), values());
            let sums = from_fn(|i| i as f32 - 7.3);
            let got = dot(sums, a, b);
            let value = |x: i16| bf16::from_bits(x as u16).to_f32();
            let want = from_fn(|i| {
                let upper = value(a[i][1]).mul_add(value(b[i][1]), sums[i]);
                value(a[i][0]).mul_add(value(b[i][0]), upper)
            });
            assert_same(isa, &[("dot_bf16", got)], &[("dot_bf16", want)]);
        }
    }
}

/// What [`Simd::shrunk_bf16`] makes of integers.
struct OnIntegers<'a> {
    integers: Pairs,
    shrunk: &'a mut Pairs,
}

impl Kernel for OnIntegers<'_> {
    const DOTS_BF16: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: both arrays have 32 elements.
        unsafe {
            let integers = simd.load_pairs(self.integers.as_ptr().cast());
            simd.store_pairs(self.shrunk.as_mut_ptr().cast(), simd.shrunk_bf16(integers));
        }
    }
}

impl TileKernel for OnIntegers<'_> {
    #[inline(always)]
    fn run<S: Simd, T: Tiles>(self, simd: S, _tiles: &mut T) {
        Kernel::run(self, simd);
    }
}

#[test]
fn integers_of_eight_bits_are_kept() {
    for isa in Isa::available() {
        for first in (-256i16..256).step_by(2 * LANES) {
            let integers: Pairs = from_fn(|i| from_fn(|half| first + (2 * i + half) as i16));
            let check = |shrunk: Pairs, by: &str| {
                for (integer, got) in integers.as_flattened().iter().zip(shrunk.as_flattened()) {
                    let got = bf16::from_bits(*got as u16).to_f32();
                    let want = f32::from(*integer) * 2.0f32.powi(-112);
                    let same = got.to_bits() == want.to_bits();
                    assert!(same, "{isa:?}, {by}: {integer} became {got}, not {want}");
                }
            };
            let mut shrunk = [[0; 2]; LANES];
            let on_integers = OnIntegers {
                integers,
                shrunk: &mut shrunk,
            };
            isa.run(on_integers);
            check(shrunk, "vectors");
            if isa.has_tiles() {
                let mut shrunk = [[0; 2]; LANES];
                let on_integers = OnIntegers {
                    integers,
                    shrunk: &mut shrunk,
                };
                isa.run_tiles(on_integers);
                check(shrunk, "beside tiles");
            }
        }
    }
}

#[test]
fn bfloat16_are_the_nearest() {
    // The middle of two, above and below which the even one lies; what rounds to infinity; a NaN
    // whose upper half is an infinity's.
    let special = [
        1.003_906_2,
        1.011_718_8,
        -1.003_906_2,
        f32::MAX,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::from_bits(0x7f80_0001),
        -0.0,
    ];
    let mut state = 5;
    for isa in Isa::available() {
        for round in 0..200 {
            // Subnormal ones may become zero.
            let mut lanes = || -> Floats {
                from_fn(|_| {
                    let x = f32::from_bits(bits(&mut state));
                    if x.is_subnormal() { 0.0 } else { x }
                })
            };
            let (mut low, mut high) = (lanes(), lanes());
            if round == 0 {
                low[4..12].copy_from_slice(&special);
                high[8..].copy_from_slice(&special);
            }
            let mut stored = [bf16::ZERO; LANES];
            let [mut rounded, mut zipped] = [[[0; 2]; LANES]; 2];
            isa.run(ToBf16 {
                low,
                high,
                stored: &mut stored,
                rounded: &mut rounded,
                zipped: &mut zipped,
            });
            let half = |pairs: Pairs, half: usize| -> Floats {
                pairs.map(|pair| bf16::from_bits(pair[half] as u16).to_f32())
            };
            let got = [
                ("store_bf16", stored.map(bf16::to_f32)),
                ("low round_pairs", half(rounded, 0)),
                ("high round_pairs", half(rounded, 1)),
                ("low zip_bf16", half(zipped, 0)),
                ("high zip_bf16", half(zipped, 1)),
            ];
            let [low, high] = [low, high].map(|lanes| lanes.map(|x| bf16::from_f32(x).to_f32()));
            let want = [low, low, high, low, high];
            let want: Vec<Result> = got
                .iter()
                .zip(want)
                .map(|(got, want)| (got.0, want))
                .collect();
            assert_same(isa, &got, &want);
        }
    }
}
