//! The conformance suite: one set of checks, run for every backend against answers in f64.
//!
//! To add a backend, add a module to `for_every_backend!`; to add an operation, add a check that is
//! generic over [`kernels::Backend`] and a line to the macro.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its fixtures too"
)]

mod attention;
mod attention_bits;
mod elementwise;
mod fixture;
mod kv;
mod linear;
mod linear_bits;
mod paged;
mod quantized;

use std::num::NonZero;

use kernels::{Cpu, CpuOptions, Reference};

/// The native backend with the machine's best instructions.
fn cpu_detected(threads: usize) -> Cpu {
    cpu(threads, false)
}

/// The native backend without instructions beyond the target's baseline.
fn cpu_portable(threads: usize) -> Cpu {
    cpu(threads, true)
}

fn cpu(threads: usize, portable: bool) -> Cpu {
    let options = CpuOptions {
        threads: NonZero::new(threads),
        portable,
    };
    Cpu::new(options).unwrap()
}

/// One test per check and backend.
macro_rules! for_every_backend {
    ($($module:ident::$check:ident => $name:ident),* $(,)?) => {
        mod reference {
            $(#[test] fn $name() { crate::$module::$check(&mut || super::Reference::cpu()); })*
        }
        mod detected {
            $(#[test] fn $name() { crate::$module::$check(&mut || super::cpu_detected(2)); })*
        }
        mod portable {
            $(#[test] fn $name() { crate::$module::$check(&mut || super::cpu_portable(2)); })*
        }
    };
}

for_every_backend! {
    linear::products_match_f64 => linear,
    linear::tied_weights_embed => embed,
    linear::bad_shapes_are_errors => pack_errors,
    linear::no_rows_are_fine => no_rows,
    quantized::integer_products_match_f64 => integer_products,
    quantized::stacked_matrices_keep_their_dtypes => stacked_dtypes,
    quantized::floats_are_quantised_when_packed => quantised_at_load,
    quantized::what_is_not_finite_stays_so => not_finite,
    quantized::rows_are_whole_blocks => whole_blocks,
    elementwise::rms_norm_matches_f64 => rms_norm,
    elementwise::add_rms_norm_matches_f64 => add_rms_norm,
    elementwise::head_norm_matches_f64 => head_norm,
    elementwise::rope_matches_f64 => rope,
    elementwise::silu_mul_matches_f64 => silu_mul,
    elementwise::gathered_rows_are_copies => gather_rows,
    attention::attention_matches_f64 => attention,
    attention::sliding_windows_match_f64 => attention_window,
    attention::mixed_batches_match_f64 => attention_mixed,
    kv::copied_blocks_read_the_same => copy_blocks,
}

/// One test per check of bits and native backend; `reference` promises none.
macro_rules! for_invariant_backends {
    ($($module:ident::$check:ident => $name:ident),* $(,)?) => {
        mod detected_bits {
            $(#[test] fn $name() { crate::$module::$check(&super::cpu_detected); })*
        }
        mod portable_bits {
            $(#[test] fn $name() { crate::$module::$check(&super::cpu_portable); })*
        }
    };
}

for_invariant_backends! {
    linear_bits::a_row_alone_is_the_row_in_a_batch => linear_rows,
    linear_bits::threads_change_nothing => linear_threads,
    linear_bits::row_wise_operations_ignore_other_rows => row_wise,
    attention_bits::chunks_equal_the_whole => attention_chunks,
    attention_bits::block_sizes_are_equal => attention_block_sizes,
    attention_bits::neighbours_change_nothing => attention_neighbours,
    attention_bits::threads_change_nothing => attention_threads,
}
