//! Tiles in plain Rust, for tests on machines without them.

#![expect(unsafe_code, reason = "loads and stores through pointers")]

use half::bf16;

use crate::cpu::tiles::{TILE_ROW_BYTES, TILE_ROWS, TileShape, Tiles};

const NOTHING: [[u8; TILE_ROW_BYTES]; TILE_ROWS] = [[0; TILE_ROW_BYTES]; TILE_ROWS];

/// What [`Tiles`] says, byte by byte.
pub(crate) struct PlainTiles {
    shapes: [TileShape; 8],
    registers: [[[u8; TILE_ROW_BYTES]; TILE_ROWS]; 8],
}

impl PlainTiles {
    /// Eight registers without shapes.
    pub(crate) fn new() -> Self {
        Self {
            shapes: [TileShape::default(); 8],
            registers: [NOTHING; 8],
        }
    }

    fn rows(&self, register: u8) -> usize {
        let rows = self.shapes[usize::from(register)].rows;
        assert!(rows > 0, "register {register} has a shape");
        usize::from(rows)
    }

    fn row_bytes(&self, register: u8) -> usize {
        usize::from(self.shapes[usize::from(register)].row_bytes)
    }

    fn word(&self, register: u8, row: usize, word: usize) -> [u8; 4] {
        let row = &self.registers[usize::from(register)][row];
        row[4 * word..][..4].try_into().expect("four bytes")
    }

    /// `change(row, column)` of every sum of `c`, whose operands' shapes fit.
    fn update(
        &mut self,
        [c, a, b]: [u8; 3],
        change: impl Fn(&Self, [u8; 4], usize, usize) -> [u8; 4],
    ) {
        assert_eq!(self.rows(c), self.rows(a), "rows");
        assert_eq!(self.row_bytes(c), self.row_bytes(b), "columns");
        assert_eq!(self.row_bytes(a), 4 * self.rows(b), "depth");
        for row in 0..self.rows(c) {
            for column in 0..self.row_bytes(c) / 4 {
                let sum = change(self, self.word(c, row, column), row, column);
                self.registers[usize::from(c)][row][4 * column..][..4].copy_from_slice(&sum);
            }
        }
    }
}

impl Tiles for PlainTiles {
    fn configure(&mut self, shapes: [TileShape; 8]) {
        *self = Self {
            shapes,
            ..Self::new()
        };
    }

    fn zero<const T: u8>(&mut self) {
        self.registers[usize::from(T)] = NOTHING;
    }

    unsafe fn load<const T: u8>(&mut self, ptr: *const u8, stride: usize) {
        let (rows, len) = (self.rows(T), self.row_bytes(T));
        for row in 0..rows {
            let out = &mut self.registers[usize::from(T)][row][..len];
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(ptr.add(row * stride), out.as_mut_ptr(), len) };
        }
    }

    unsafe fn store<const T: u8>(&mut self, ptr: *mut u8, stride: usize) {
        let (rows, len) = (self.rows(T), self.row_bytes(T));
        for row in 0..rows {
            let from = &self.registers[usize::from(T)][row][..len];
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), ptr.add(row * stride), len) };
        }
    }

    fn dot_bf16<const C: u8, const A: u8, const B: u8>(&mut self) {
        let pair = |word: [u8; 4]| {
            let half = |a, b| normal(bf16::from_le_bytes([a, b]).to_f32());
            [half(word[0], word[1]), half(word[2], word[3])]
        };
        self.update([C, A, B], |tiles, sum, row, column| {
            let mut sums = [0.0f32; 2];
            for k in 0..tiles.rows(B) {
                let (x, w) = (pair(tiles.word(A, row, k)), pair(tiles.word(B, k, column)));
                for half in 0..2 {
                    sums[half] = normal(x[half].mul_add(w[half], sums[half]));
                }
            }
            let sum = normal(f32::from_le_bytes(sum));
            normal(sum + normal(sums[0] + sums[1])).to_le_bytes()
        });
    }
}

/// Zero of the same sign for what is subnormal.
fn normal(x: f32) -> f32 {
    match x.is_subnormal() {
        true => 0.0f32.copysign(x),
        false => x,
    }
}
