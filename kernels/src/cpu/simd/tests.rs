//! Every operation of every instruction set of this machine, lane by lane.

#![expect(unsafe_code, reason = "loads and stores vectors")]

mod pairs_of_bf16;

use std::array::from_fn;

use half::{bf16, f16};

use super::{Isa, Kernel, LANES, Simd, bf16_position};
use crate::TARGET_HAS_FMA;

type Floats = [f32; LANES];
type Pairs = [[i16; 2]; LANES];

/// A named result of an instruction set.
type Result = (&'static str, Floats);

/// What the operations on floats make of `a`, `b` and `c`.
struct OnFloats<'a> {
    a: Floats,
    b: Floats,
    c: Floats,
    results: &'a mut Vec<Result>,
}

impl Kernel for OnFloats<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let [a, b, c] = [self.a, self.b, self.c].map(|lanes| load(simd, &lanes));
        let vectors = [
            ("load", a),
            ("splat", simd.splat(self.a[0])),
            ("add", simd.add(a, b)),
            ("sub", simd.sub(a, b)),
            ("mul", simd.mul(a, b)),
            ("div", simd.div(a, b)),
            ("mul_add", simd.mul_add(a, b, c)),
            ("max", simd.max(a, b)),
            ("min", simd.min(a, b)),
            ("zero_below", simd.zero_below(a, b, c)),
            ("sum", simd.splat(simd.sum(c))),
            ("max_lane", simd.splat(simd.max_lane(c))),
        ];
        simd.prefetch(std::ptr::null());
        let vectors = vectors.map(|(name, vector)| (name, store(simd, vector)));
        self.results.extend(vectors);
    }
}

/// What they should make of them; `fused` says whether `mul_add` rounds once.
fn expected_of_floats(a: Floats, b: Floats, c: Floats, fused: bool) -> Vec<Result> {
    let lanes = |f: &dyn Fn(usize) -> f32| from_fn(f);
    let mul_add = |i: usize| {
        if fused {
            a[i].mul_add(b[i], c[i])
        } else {
            a[i] * b[i] + c[i]
        }
    };
    // Halves of the vector until one lane is left; the last two steps pair lanes 0 and 2 first.
    let eight: [f32; 8] = from_fn(|i| c[i] + c[i + 8]);
    let four: [f32; 4] = from_fn(|i| eight[i] + eight[i + 4]);
    let sum = (four[0] + four[2]) + (four[1] + four[3]);
    let largest = c.into_iter().fold(f32::NEG_INFINITY, f32::max);
    vec![
        ("load", a),
        ("splat", [a[0]; LANES]),
        ("add", lanes(&|i| a[i] + b[i])),
        ("sub", lanes(&|i| a[i] - b[i])),
        ("mul", lanes(&|i| a[i] * b[i])),
        ("div", lanes(&|i| a[i] / b[i])),
        ("mul_add", lanes(&mul_add)),
        ("max", lanes(&|i| if a[i] > b[i] { a[i] } else { b[i] })),
        ("min", lanes(&|i| if a[i] < b[i] { a[i] } else { b[i] })),
        (
            "zero_below",
            lanes(&|i| if a[i] < b[i] { 0.0 } else { c[i] }),
        ),
        ("sum", [sum; LANES]),
        ("max_lane", [largest; LANES]),
    ]
}

/// What widening and narrowing make of `words` and of the whole numbers `whole`.
struct OnWords<'a> {
    words: [u16; LANES],
    whole: [i16; LANES],
    results: &'a mut Vec<Result>,
}

impl Kernel for OnWords<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut packed = [bf16::ZERO; LANES];
        for (lane, &word) in self.words.iter().enumerate() {
            packed[bf16_position(lane)] = bf16::from_bits(word);
        }
        let halves = self.words.map(f16::from_bits);
        let bytes = self.whole.map(|whole| whole as i8);
        let mut narrow = [0i16; LANES];
        // SAFETY: all arrays have 16 elements.
        let vectors = unsafe {
            let whole = load(simd, &self.whole.map(f32::from));
            simd.store_i16(narrow.as_mut_ptr(), whole);
            [
                ("load_bf16", simd.load_bf16(packed.as_ptr())),
                ("load_f16", simd.load_f16(halves.as_ptr())),
                ("load_i8", simd.load_i8(bytes.as_ptr())),
                // 1.5 * 2^23 + n
                (
                    "exp2_biased",
                    simd.exp2_biased(load(
                        simd,
                        &bytes.map(|n| 12_582_912.0 + f32::from(n.max(-126))),
                    )),
                ),
            ]
        };
        let vectors = vectors.map(|(name, vector)| (name, store(simd, vector)));
        self.results.extend(vectors);
        self.results.push(("store_i16", narrow.map(f32::from)));
    }
}

fn expected_of_words(words: [u16; LANES], whole: [i16; LANES]) -> Vec<Result> {
    let bytes = whole.map(|whole| whole as i8);
    vec![
        (
            "load_bf16",
            words.map(|word| f32::from_bits(u32::from(word) << 16)),
        ),
        ("load_f16", words.map(|word| f16::from_bits(word).to_f32())),
        ("load_i8", bytes.map(f32::from)),
        (
            "exp2_biased",
            bytes.map(|n| 2.0f32.powi(i32::from(n.max(-126)))),
        ),
        ("store_i16", whole.map(f32::from)),
    ]
}

/// What the operations on pairs make of `a` and `b`: pairs as they are stored, sums as floats.
struct OnPairs<'a> {
    a: Pairs,
    b: Pairs,
    pairs: &'a mut Vec<(&'static str, Pairs)>,
    dot: &'a mut Floats,
}

impl Kernel for OnPairs<'_> {
    const DOTS_PAIRS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: both arrays have 32 elements.
        let [a, b] =
            [self.a, self.b].map(|pairs| unsafe { simd.load_pairs(pairs.as_ptr().cast()) });
        let pair = i32::from(self.a[0][0] as u16) | i32::from(self.a[0][1]) << 16;
        let vectors = [
            ("load_pairs", a),
            ("splat_pair", simd.splat_pair(pair)),
            ("mask_pairs", simd.mask_pairs(a, 0x0ff3)),
            ("join_pairs", simd.join_pairs(a, b)),
            ("shift_pairs_up", simd.shift_pairs_up::<3>(a)),
            ("shift_pairs_down", simd.shift_pairs_down::<5>(a)),
            ("shift_pairs_sign", simd.shift_pairs_sign::<7>(a)),
            ("subtract_pairs", simd.subtract_pairs(a, 77)),
            ("look_up", simd.look_up(b, simd.mask_pairs(a, 31))),
        ];
        for (name, vector) in vectors {
            let mut pairs = [[0i16; 2]; LANES];
            // SAFETY: the array has 32 elements.
            unsafe { simd.store_pairs(pairs.as_mut_ptr().cast(), vector) };
            self.pairs.push((name, pairs));
        }
        let sums = simd.dot_pairs(simd.splat_sum(-77), a, b);
        *self.dot = store(simd, simd.to_floats(sums));
    }
}

fn expected_of_pairs(a: Pairs, b: Pairs) -> Vec<(&'static str, Pairs)> {
    let each = |f: &dyn Fn(i16) -> i16| a.map(|pair| pair.map(f));
    vec![
        ("load_pairs", a),
        ("splat_pair", [a[0]; LANES]),
        ("mask_pairs", each(&|x| x & 0x0ff3)),
        (
            "join_pairs",
            from_fn(|i| from_fn(|half| a[i][half] | b[i][half])),
        ),
        ("shift_pairs_up", each(&|x| x << 3)),
        ("shift_pairs_down", each(&|x| (x as u16 >> 5) as i16)),
        ("shift_pairs_sign", each(&|x| x >> 7)),
        ("subtract_pairs", each(&|x| x.wrapping_sub(77))),
        (
            "look_up",
            each(&|x| b.as_flattened()[x as usize % (2 * LANES)]),
        ),
    ]
}

#[inline(always)]
fn load<S: Simd>(simd: S, lanes: &Floats) -> S::Vector {
    // At an odd address: no alignment is assumed.
    let mut bytes = [0u8; 4 * LANES + 1];
    for (bytes, lane) in bytes[1..].chunks_exact_mut(4).zip(lanes) {
        bytes.copy_from_slice(&lane.to_ne_bytes());
    }
    // SAFETY: 64 bytes follow the first one.
    unsafe { simd.load(bytes.as_ptr().add(1).cast()) }
}

#[inline(always)]
fn store<S: Simd>(simd: S, vector: S::Vector) -> Floats {
    let mut bytes = [0u8; 4 * LANES + 1];
    // SAFETY: 64 bytes follow the first one.
    unsafe { simd.store(bytes.as_mut_ptr().add(1).cast(), vector) };
    from_fn(|i| f32::from_ne_bytes(from_fn(|byte| bytes[1 + 4 * i + byte])))
}

/// The same bits, or NaN where NaN is expected.
#[track_caller]
fn assert_same(isa: Isa, got: &[Result], want: &[Result]) {
    assert_eq!(got.len(), want.len());
    for ((name, got), (wanted, want)) in got.iter().zip(want) {
        assert_eq!(name, wanted);
        let same = |(got, want): (&f32, &f32)| {
            got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan()
        };
        assert!(
            got.iter().zip(want).all(same),
            "{isa:?}: {name} is {got:?}, expected {want:?}"
        );
    }
}

/// Numbers with every sign and exponent, reproducible.
fn bits(state: &mut u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *state ^ *state >> 15
}

#[test]
fn floats_are_those_of_ieee_754() {
    let special = [
        0.0,
        -0.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MIN_POSITIVE / 4.0,
        f32::MAX,
        -1.0,
    ];
    let mut state = 1;
    for isa in Isa::available() {
        for round in 0..200 {
            let mut lanes = || -> Floats { from_fn(|_| bits(&mut state) as i32 as f32 * 1e-9) };
            let [mut a, mut b, c] = [lanes(), lanes(), lanes()];
            if round < 8 {
                for lane in 0..8 {
                    (a[lane], b[lane]) = (special[lane], special[(lane + round) % 8]);
                }
            }
            let mut results = Vec::new();
            let results = &mut results;
            isa.run(OnFloats { a, b, c, results });
            let fused = isa != Isa::Portable || TARGET_HAS_FMA;
            assert_same(isa, results, &expected_of_floats(a, b, c, fused));
        }
    }
}

#[test]
fn words_widen_exactly() {
    let mut state = 2;
    for isa in Isa::available() {
        for _ in 0..200 {
            let words = from_fn(|_| bits(&mut state) as u16);
            let whole = from_fn(|_| bits(&mut state) as i16);
            let mut results = Vec::new();
            isa.run(OnWords {
                words,
                whole,
                results: &mut results,
            });
            assert_same(isa, &results, &expected_of_words(words, whole));
        }
    }
}

#[test]
fn pairs_are_integers() {
    let mut state = 3;
    for isa in Isa::available() {
        for round in 0..200 {
            let mut pairs = || -> Pairs { from_fn(|_| from_fn(|_| bits(&mut state) as i16)) };
            let (mut a, mut b) = (pairs(), pairs());
            if round == 0 {
                // Both products are 2^30: their sum does not fit.
                (a[0], b[0]) = ([i16::MIN; 2], [i16::MIN; 2]);
            }
            let (mut got, mut dot) = (Vec::new(), [f32::NAN; LANES]);
            isa.run(OnPairs {
                a,
                b,
                pairs: &mut got,
                dot: &mut dot,
            });
            assert_eq!(got, expected_of_pairs(a, b), "{isa:?}");
            let want = from_fn(|i| {
                let [x, y] = [0, 1].map(|half| i32::from(a[i][half]) * i32::from(b[i][half]));
                x.wrapping_add(y).wrapping_sub(77) as f32
            });
            assert_same(isa, &[("dot_pairs", dot)], &[("dot_pairs", want)]);
        }
    }
}
