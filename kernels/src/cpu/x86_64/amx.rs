//! AMX: registers that are tiles. The intrinsics are not stable, so the instructions are written as
//! they are; the compiler itself never uses these registers.

#![expect(
    unsafe_code,
    reason = "instructions of a machine that was found to have them"
)]

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;

use crate::cpu::tiles::{TileShape, Tiles};
use crate::tile_permission;

/// Bits of EDX of leaf 7: AMX-BF16, AVX512-FP16, AMX-TILE and AMX-INT8. Every processor with one of
/// them has all.
const FEATURES: u32 = 1 << 22 | 1 << 23 | 1 << 24 | 1 << 25;

/// Proof that the machine has AMX and that this process may use it.
pub(super) struct Amx(());

/// What `LDTILECFG` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Whether the machine has AMX with products of bfloat16 and of bytes, and vectors of floats of 16
/// bits, and the operating system lets this process use it.
pub(super) fn is_available() -> bool {
    let leaf = __cpuid_count(0, 0).eax;
    leaf >= 7 && __cpuid_count(7, 0).edx & FEATURES == FEATURES && tile_permission::obtain()
}

impl Amx {
    /// # Safety
    /// [`is_available`] said so.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

impl Drop for Amx {
    fn drop(&mut self) {
        // SAFETY: `self` proves AMX. Registers that are released need not be kept for the thread.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) }
    }
}

impl Tiles for Amx {
    #[inline(always)]
    fn configure(&mut self, shapes: [TileShape; 8]) {
        let mut config = Config {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        for (register, shape) in shapes.into_iter().enumerate() {
            config.row_bytes[register] = u16::from(shape.row_bytes);
            config.rows[register] = shape.rows;
        }
        // SAFETY: `self` proves AMX; the shapes are within those of palette 1.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &config, options(readonly, nostack, preserves_flags));
        }
    }

    #[inline(always)]
    fn zero<const T: u8>(&mut self) {
        // SAFETY: `self` proves AMX.
        unsafe { asm!("tilezero tmm{t}", t = const T, options(nomem, nostack, preserves_flags)) }
    }

    #[inline(always)]
    unsafe fn load<const T: u8>(&mut self, ptr: *const u8, stride: usize) {
        // SAFETY: `self` proves AMX; the caller vouches for the rows.
        unsafe {
            asm!(
                "tileloadd tmm{t}, [{ptr} + {stride}]",
                t = const T,
                ptr = in(reg) ptr,
                stride = in(reg) stride,
                options(readonly, nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    unsafe fn store<const T: u8>(&mut self, ptr: *mut u8, stride: usize) {
        // SAFETY: `self` proves AMX; the caller vouches for the rows.
        unsafe {
            asm!(
                "tilestored [{ptr} + {stride}], tmm{t}",
                t = const T,
                ptr = in(reg) ptr,
                stride = in(reg) stride,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    fn dot_bf16<const C: u8, const A: u8, const B: u8>(&mut self) {
        // SAFETY: `self` proves AMX.
        unsafe {
            asm!(
                "tdpbf16ps tmm{c}, tmm{a}, tmm{b}",
                c = const C, a = const A, b = const B,
                options(nomem, nostack, preserves_flags),
            );
        }
    }
}
