//! The conformance suite: one set of checks, run for every backend against answers in f64.
//!
//! To add a backend, add a module to `for_every_backend!`; to add an operation, add a check that is
//! generic over [`kernels::Backend`] and a line to the macro.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its fixtures too"
)]

mod activations;
mod attention;
mod attention_bits;
mod elementwise;
mod fixture;
#[cfg(feature = "cuda")]
mod gpu;
mod kv;
mod linear;
mod linear_bits;
mod lora;
mod paged;
mod quantized;
#[cfg(any(feature = "cuda", feature = "cuda-emulator"))]
mod rounded;
#[cfg(any(feature = "cuda", feature = "cuda-emulator"))]
mod sample;
#[cfg(any(feature = "cuda", feature = "cuda-emulator"))]
mod spans;
#[cfg(any(feature = "cuda", feature = "cuda-emulator"))]
mod steps;

#[cfg(feature = "reference")]
use kernels::Reference;
use kernels::{Backend, Cpu, CpuOptions, InstructionSet, KvDtype};

use crate::fixture::{cpu, untested};

/// Runs `check` on backends with `instruction_set`, where the machine has it.
fn with(instruction_set: InstructionSet, check: impl FnOnce(&dyn Fn(usize) -> Cpu)) {
    if instruction_set.is_available() {
        check(&|threads| cpu(threads, instruction_set));
    } else {
        untested(instruction_set);
    }
}

/// The emulator of GPUs.
#[cfg(feature = "cuda-emulator")]
fn emulated(
    dtype: kernels::ActivationDtype,
    sum_order: kernels::SumOrder,
) -> kernels::Cuda<kernels::CudaEmulator> {
    kernels::Cuda::new(kernels::CudaEmulator::default(), dtype, sum_order)
}

/// One test per check and backend.
macro_rules! for_every_backend {
    ($($module:ident::$check:ident => $name:ident),* $(,)?) => {
        #[cfg(feature = "reference")]
        mod reference {
            $(#[test] fn $name() { crate::$module::$check(&mut || super::Reference::cpu()); })*
        }
        #[cfg(feature = "cuda-emulator")]
        mod cuda_emulator {
            $(#[test] fn $name() {
                crate::$module::$check(&mut || {
                    super::emulated(kernels::ActivationDtype::F32, kernels::SumOrder::Free)
                });
            })*
        }
        #[cfg(feature = "cuda")]
        mod cuda {
            $(#[test] fn $name() {
                super::gpu::with(|make| {
                    crate::$module::$check(&mut || {
                        make(kernels::ActivationDtype::F32, kernels::SumOrder::Free)
                    });
                });
            })*
        }
        for_every_backend! { @cpu portable Portable $($module::$check => $name),* }
        for_every_backend! { @cpu avx2 Avx2 $($module::$check => $name),* }
        for_every_backend! { @cpu avx512 Avx512 $($module::$check => $name),* }
        for_every_backend! { @cpu avx512_vnni Avx512Vnni $($module::$check => $name),* }
        for_every_backend! { @cpu avx512_bf16 Avx512Bf16 $($module::$check => $name),* }
        for_every_backend! { @cpu amx Amx $($module::$check => $name),* }
    };
    (@cpu $mod:ident $set:ident $($module:ident::$check:ident => $name:ident),*) => {
        mod $mod {
            $(#[test] fn $name() {
                super::with(super::InstructionSet::$set, |make| {
                    crate::$module::$check(&mut || make(2));
                });
            })*
        }
    };
}

for_every_backend! {
    linear::products_match_f64 => linear,
    linear::inputs_may_be_rounded_to_bfloat16 => rounded_inputs,
    linear::tied_weights_embed => embed,
    linear::bad_shapes_are_errors => pack_errors,
    linear::no_rows_are_fine => no_rows,
    quantized::integer_products_match_f64 => integer_products,
    quantized::whole_inputs_are_kept => whole_inputs,
    quantized::stacked_matrices_keep_their_dtypes => stacked_dtypes,
    quantized::floats_are_quantised_when_packed => quantised_at_load,
    quantized::what_is_not_finite_stays_so => not_finite,
    quantized::rows_are_whole_blocks => whole_blocks,
    elementwise::rms_norm_matches_f64 => rms_norm,
    elementwise::layer_norm_matches_f64 => layer_norm,
    elementwise::add_rms_norm_matches_f64 => add_rms_norm,
    elementwise::head_norm_matches_f64 => head_norm,
    elementwise::norm_of_all_heads_matches_f64 => norm_of_all_heads,
    elementwise::rope_matches_f64 => rope,
    elementwise::sums_are_those_of_f32 => add,
    elementwise::soft_caps_of_values_match_f64 => soft_cap,
    activations::gated_units_match_f64 => gated_units,
    activations::activations_match_f64 => activations,
    elementwise::gathered_rows_are_copies => gather_rows,
    elementwise::rows_are_added_where_they_belong => add_rows,
    attention::attention_matches_f64 => attention,
    attention::usual_heads_match_f64 => attention_usual_heads,
    attention::sliding_windows_match_f64 => attention_window,
    attention::soft_caps_match_f64 => attention_soft_cap,
    attention::sinks_match_f64 => attention_sinks,
    attention::mixed_batches_match_f64 => attention_mixed,
    lora::updates_match_f64 => lora,
    lora::gated_rows_are_those_of_the_product => lora_gated,
    lora::bad_updates_are_errors => lora_errors,
    kv::copied_blocks_read_the_same => copy_blocks,
    kv::blocks_are_carried_as_bytes => carry_blocks,
    kv::fp8_values_are_the_nearest => fp8_values,
    kv::other_types_are_refused => kv_dtypes,
}

/// One test per check of what backends with memory of their own do.
macro_rules! for_devices {
    ($($module:ident::$check:ident => $name:ident),* $(,)?) => {
        #[cfg(feature = "cuda-emulator")]
        mod cuda_emulator_device {
            $(#[test] fn $name() {
                crate::$module::$check(&mut |dtype| {
                    super::emulated(dtype, kernels::SumOrder::Free)
                });
            })*
        }
        #[cfg(feature = "cuda")]
        mod cuda_device {
            $(#[test] fn $name() {
                super::gpu::with(|make| {
                    crate::$module::$check(&mut |dtype| make(dtype, kernels::SumOrder::Free));
                });
            })*
        }
    };
}

for_devices! {
    rounded::adapters_are_rounded => rounded_adapters,
    rounded::elements_are_rounded => rounded_elements,
    rounded::heads_are_rounded => rounded_heads,
    rounded::norms_are_rounded => rounded_norms,
    rounded::products_are_rounded => rounded_products,
    steps::recorded_steps_are_those_of_their_operations => recorded_steps,
    sample::likeliest_tokens_are_found => likeliest,
    sample::draws_are_those_of_f64 => draws,
    sample::logprobs_match_f64 => logprobs,
    sample::rows_without_a_draw_are_the_hosts => rows_of_host,
    sample::drawn_tokens_are_embedded_before_they_are_read => run_ahead,
}

/// One test per check of bits and instruction set; `reference` promises none.
macro_rules! for_invariant_backends {
    ($($module:ident::$check:ident => $name:ident),* $(,)?) => {
        for_invariant_backends! { @cpu portable_bits Portable $($module::$check => $name),* }
        for_invariant_backends! { @cpu avx2_bits Avx2 $($module::$check => $name),* }
        for_invariant_backends! { @cpu avx512_bits Avx512 $($module::$check => $name),* }
        for_invariant_backends! { @cpu avx512_vnni_bits Avx512Vnni $($module::$check => $name),* }
        for_invariant_backends! { @cpu avx512_bf16_bits Avx512Bf16 $($module::$check => $name),* }
        for_invariant_backends! { @cpu amx_bits Amx $($module::$check => $name),* }
    };
    (@cpu $mod:ident $set:ident $($module:ident::$check:ident => $name:ident),*) => {
        mod $mod {
            $(#[test] fn $name() {
                super::with(super::InstructionSet::$set, |make| crate::$module::$check(make));
            })*
        }
    };
}

for_invariant_backends! {
    linear_bits::a_row_alone_is_the_row_in_a_batch => linear_rows,
    linear_bits::threads_change_nothing => linear_threads,
    linear_bits::row_wise_operations_ignore_other_rows => row_wise,
    linear_bits::units_alone_are_those_in_a_batch => gated_units,
    lora::a_row_alone_is_the_row_in_a_group => lora_rows,
    kv::bytes_follow_the_element_type => kv_bytes,
    attention_bits::chunks_equal_the_whole => attention_chunks,
    attention_bits::block_sizes_are_equal => attention_block_sizes,
    attention_bits::neighbours_change_nothing => attention_neighbours,
    attention_bits::later_tokens_change_nothing => attention_later_tokens,
    attention_bits::large_later_tokens_change_nothing => attention_large_later_tokens,
    attention_bits::tokens_out_of_sight_change_nothing => attention_out_of_sight,
    attention_bits::large_tokens_out_of_sight_change_nothing => attention_large_out_of_sight,
    attention_bits::shared_prefixes_change_nothing => attention_shared_prefixes,
    attention_bits::threads_change_nothing => attention_threads,
}

/// One test per check of answers in f64 of a device that sums in a fixed order.
macro_rules! for_fixed_sums {
    ($($module:ident::$check:ident => $name:ident),* $(,)?) => {
        #[cfg(feature = "cuda-emulator")]
        mod cuda_emulator_fixed {
            $(#[test] fn $name() {
                crate::$module::$check(&mut || {
                    super::emulated(kernels::ActivationDtype::F32, kernels::SumOrder::Fixed)
                });
            })*
        }
        #[cfg(feature = "cuda")]
        mod cuda_fixed {
            $(#[test] fn $name() {
                super::gpu::with(|make| {
                    crate::$module::$check(&mut || {
                        make(kernels::ActivationDtype::F32, kernels::SumOrder::Fixed)
                    });
                });
            })*
        }
    };
}

for_fixed_sums! {
    linear::products_match_f64 => linear,
    linear::inputs_may_be_rounded_to_bfloat16 => rounded_inputs,
    attention::attention_matches_f64 => attention,
    attention::usual_heads_match_f64 => attention_usual_heads,
    attention::sliding_windows_match_f64 => attention_window,
    attention::soft_caps_match_f64 => attention_soft_cap,
    attention::sinks_match_f64 => attention_sinks,
    attention::mixed_batches_match_f64 => attention_mixed,
}

/// One test per check of the bits of a device that sums in a fixed order, of a type of activations.
macro_rules! for_fixed_bits {
    ($emulated:ident $real:ident $dtype:ident $($module:ident::$check:ident => $name:ident),* $(,)?) => {
        #[cfg(feature = "cuda-emulator")]
        mod $emulated {
            $(#[test] fn $name() {
                crate::$module::$check(&|_| {
                    super::emulated(kernels::ActivationDtype::$dtype, kernels::SumOrder::Fixed)
                });
            })*
        }
        #[cfg(feature = "cuda")]
        mod $real {
            $(#[test] fn $name() {
                super::gpu::with(|make| {
                    crate::$module::$check(&|_| {
                        make(kernels::ActivationDtype::$dtype, kernels::SumOrder::Fixed)
                    });
                });
            })*
        }
    };
}

// As of the CPU, but for threads, which it has none of, and for tokens that are not finite: what a row
// does not see it multiplies with zero.
for_fixed_bits! {
    cuda_emulator_bits cuda_bits F32
    linear_bits::a_row_alone_is_the_row_in_a_batch => linear_rows,
    linear_bits::row_wise_operations_ignore_other_rows => row_wise,
    linear_bits::units_alone_are_those_in_a_batch => gated_units,
    lora::a_row_alone_is_the_row_in_a_group => lora_rows,
    attention_bits::chunks_equal_the_whole => attention_chunks,
    attention_bits::block_sizes_are_equal => attention_block_sizes,
    attention_bits::neighbours_change_nothing => attention_neighbours,
    attention_bits::large_later_tokens_change_nothing => attention_later_tokens,
    attention_bits::large_tokens_out_of_sight_change_nothing => attention_out_of_sight,
    spans::divided_rows_are_the_whole_ones => attention_spans,
}

for_fixed_bits! {
    cuda_emulator_bits_bf16 cuda_bits_bf16 Bf16
    linear_bits::row_wise_operations_ignore_other_rows => row_wise,
    linear_bits::units_alone_are_those_in_a_batch => gated_units,
    attention_bits::neighbours_change_nothing => attention_neighbours,
}

/// Every backend but the CPU has all element types of the KV cache.
#[test]
fn only_the_cpu_lacks_fp8() {
    let [others @ .., KvDtype::Fp8] = KvDtype::ALL else {
        panic!("fp8 is the last one")
    };
    assert_eq!(Cpu::KV_DTYPES, others);
    #[cfg(feature = "reference")]
    assert_eq!(Reference::KV_DTYPES, KvDtype::ALL);
    #[cfg(feature = "cuda-emulator")]
    assert_eq!(
        kernels::Cuda::<kernels::CudaEmulator>::KV_DTYPES,
        KvDtype::ALL
    );
}

/// The instruction set that nobody chose is the machine's best.
#[test]
fn the_best_is_detected() {
    let best = InstructionSet::ALL
        .into_iter()
        .rfind(|set| set.is_available())
        .unwrap();
    let detected = Cpu::new(Default::default()).unwrap().description();
    let options = CpuOptions {
        instruction_set: Some(best),
        ..Default::default()
    };
    assert_eq!(Cpu::new(options).unwrap().description(), detected);
}

/// An instruction set that the machine lacks is refused, not replaced.
#[test]
fn what_is_not_there_is_refused() {
    for set in InstructionSet::ALL {
        let options = CpuOptions {
            instruction_set: Some(set),
            ..Default::default()
        };
        let refused = Cpu::new(options).err().map(|error| error.to_string());
        let expected = format!("this machine does not have the instruction set {set}");
        assert_eq!(refused, (!set.is_available()).then_some(expected));
    }
}
