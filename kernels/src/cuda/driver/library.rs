//! Products by cuBLASLt, which is loaded when it is there.

#![expect(unsafe_code, reason = "the library is called through its C interface")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::sync::Arc;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{
    self, cublasComputeType_t, cublasLtMatmulDescAttributes_t,
    cublasLtMatmulPreferenceAttributes_t, cudaDataType,
};
use cudarc::driver::{CudaContext, CudaStream, result as driver};

use crate::cuda::{Product, ProductDtype};
use crate::{ActivationDtype, KernelError};

/// What the library's algorithms may use beside the matrices.
const WORKSPACE_BYTES: usize = 32 << 20;

/// Chosen algorithms that are kept: of each product one for each number of rows.
const MAX_PLANS: usize = 4096;
/// What memory is aligned to, and no algorithm asks for more.
const ALIGNMENT_BITS: u32 = 8;

/// A handle of the library, its workspace, and the algorithm chosen for each shape.
pub(super) struct Library {
    context: Arc<CudaContext>,
    handle: sys::cublasLtHandle_t,
    workspace: u64,
    plans: RefCell<HashMap<Shape, Plan>>,
}

/// What an algorithm is chosen by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    dtype: ProductDtype,
    out_dtype: ActivationDtype,
    /// Rows, output features, depth.
    sizes: [usize; 3],
    /// Of input, weight and output.
    strides: [usize; 3],
    /// Bytes that the output is aligned to: it may be part of a row.
    out_alignment: u32,
}

/// The library's description of a product. Row-major matrices are its column-major ones transposed:
/// it computes `out^T = weight * input^T`, where `weight` is transposed once more.
struct Plan {
    product: sys::cublasLtMatmulDesc_t,
    weight: sys::cublasLtMatrixLayout_t,
    input: sys::cublasLtMatrixLayout_t,
    out: sys::cublasLtMatrixLayout_t,
    algorithm: sys::cublasLtMatmulAlgo_t,
}

impl Library {
    /// The library, if the machine has it.
    ///
    /// # Errors
    /// `Device` when it is there and fails; `OutOfMemory`.
    pub(super) fn open(context: &Arc<CudaContext>) -> Result<Option<Self>, KernelError> {
        // SAFETY: loading the library runs its initialisers, as any use of it does.
        if !unsafe { sys::is_culib_present() } {
            return Ok(None);
        }
        let handle = result::create_handle().map_err(failed)?;
        // SAFETY: the library writes its workspace before it reads it.
        let workspace = unsafe { driver::malloc_sync(WORKSPACE_BYTES) };
        let workspace = workspace.map_err(|_| KernelError::OutOfMemory {
            what: "workspace of cuBLASLt",
            bytes: WORKSPACE_BYTES,
        })?;
        Ok(Some(Self {
            context: Arc::clone(context),
            handle,
            workspace,
            plans: RefCell::new(HashMap::new()),
        }))
    }

    /// Enqueues the product; the context is bound.
    ///
    /// # Errors
    /// `Device`.
    pub(super) fn multiply(
        &self,
        product: &Product,
        stream: &CudaStream,
    ) -> Result<(), KernelError> {
        let shape = Shape::of(product);
        let mut plans = self.plans.borrow_mut();
        if plans.len() >= MAX_PLANS && !plans.contains_key(&shape) {
            plans.drain().for_each(|(_, plan)| plan.destroy());
        }
        let plan = match plans.entry(shape) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(place) => place.insert(self.plan(&shape).map_err(failed)?),
        };
        let (one, zero) = (1.0f32, 0.0f32);
        let out = product.out as *mut c_void;
        // SAFETY: descriptions and handle live; the matrices have the sizes that the plan says, and
        // the workspace has the size that the algorithm was chosen for.
        unsafe {
            result::matmul(
                self.handle,
                plan.product,
                std::ptr::from_ref(&one).cast(),
                std::ptr::from_ref(&zero).cast(),
                product.weight as *const c_void,
                plan.weight,
                product.input as *const c_void,
                plan.input,
                out.cast_const(),
                plan.out,
                out,
                plan.out,
                &plan.algorithm,
                self.workspace as *mut c_void,
                WORKSPACE_BYTES,
                stream.cu_stream().cast(),
            )
        }
        .map_err(failed)
    }

    /// Describes the product and lets the library choose an algorithm.
    fn plan(&self, shape: &Shape) -> Result<Plan, CublasError> {
        let dtype = match shape.dtype {
            ProductDtype::F32 => cudaDataType::CUDA_R_32F,
            ProductDtype::Bf16 => cudaDataType::CUDA_R_16BF,
        };
        let [rows, out_features, depth] = shape.sizes.map(|size| size as u64);
        let [input_stride, weight_stride, out_stride] = shape.strides.map(|stride| stride as i64);
        let product = result::create_matmul_desc(
            cublasComputeType_t::CUBLAS_COMPUTE_32F,
            cudaDataType::CUDA_R_32F,
        )?;
        let weight = result::create_matrix_layout(dtype, depth, out_features, weight_stride)?;
        let input = result::create_matrix_layout(dtype, depth, rows, input_stride)?;
        let out_dtype = match shape.out_dtype {
            ActivationDtype::F32 => cudaDataType::CUDA_R_32F,
            ActivationDtype::Bf16 => cudaDataType::CUDA_R_16BF,
        };
        let out = result::create_matrix_layout(out_dtype, out_features, rows, out_stride)?;
        let preference = result::create_matmul_pref()?;
        // `CUBLAS_OP_T`
        let transposed: i32 = 1;
        // SAFETY: the descriptions were just made, and each attribute has the size of its type.
        let algorithm = unsafe {
            result::set_matmul_desc_attribute(
                product,
                cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA,
                std::ptr::from_ref(&transposed).cast(),
                size_of::<i32>(),
            )?;
            result::set_matmul_pref_attribute(
                preference,
                cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                std::ptr::from_ref(&WORKSPACE_BYTES).cast(),
                size_of::<usize>(),
            )?;
            for attribute in [
                cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
            ] {
                result::set_matmul_pref_attribute(
                    preference,
                    attribute,
                    std::ptr::from_ref(&shape.out_alignment).cast(),
                    size_of::<u32>(),
                )?;
            }
            let chosen = result::get_matmul_algo_heuristic(
                self.handle,
                product,
                weight,
                input,
                out,
                out,
                preference,
            );
            result::destroy_matmul_pref(preference)?;
            chosen?.algo
        };
        Ok(Plan {
            product,
            weight,
            input,
            out,
            algorithm,
        })
    }
}

impl Shape {
    fn of(product: &Product) -> Self {
        Self {
            dtype: product.dtype,
            out_dtype: product.out_dtype,
            sizes: [product.rows, product.out_features, product.in_features],
            strides: [
                product.input_stride,
                product.weight_stride,
                product.out_stride,
            ],
            out_alignment: 1 << product.out.trailing_zeros().min(ALIGNMENT_BITS),
        }
    }
}

impl Plan {
    fn destroy(self) {
        // SAFETY: made in `Library::plan` and destroyed once; the library has read them when a product
        // was enqueued. There is nobody to tell of a failure.
        let _ = unsafe {
            [
                result::destroy_matmul_desc(self.product),
                result::destroy_matrix_layout(self.weight),
                result::destroy_matrix_layout(self.input),
                result::destroy_matrix_layout(self.out),
            ]
        };
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_err() {
            return;
        }
        for (_, plan) in self.plans.get_mut().drain() {
            plan.destroy();
        }
        let _ = driver::ctx::synchronize();
        // SAFETY: made in `open` and given back once, when nothing runs any more.
        unsafe {
            let _ = driver::free_sync(self.workspace);
            let _ = result::destroy_handle(self.handle);
        }
    }
}

fn failed(error: CublasError) -> KernelError {
    KernelError::Device {
        op: "cuBLASLt",
        source: Box::new(error),
    }
}
