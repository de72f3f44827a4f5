//! Weights on the device, and products with them.

mod rows_bf16;

use std::cell::Cell;

use half::bf16;

use crate::cuda::arguments::{
    AddBiasArguments, EmbedArguments, FewRowsArguments, LinearArguments, RoundArguments,
    TilesArguments, Values,
};
use crate::cuda::buffer::{CudaBuffer, CudaVector};
use crate::cuda::device::{CudaDevice, Geometry, Product, ProductDtype};
use crate::cuda::linear::rows_bf16::{Gate, MAX_FEW_ROWS, Rows};
use crate::weights::stacked_shape;
use crate::{ActivationDtype, KernelError, SumOrder, WeightDtype, WeightFormat, WeightView};

/// Rows that a block of `linear_few_rows` takes, and its output features: one per warp.
const FEW_ROWS: usize = 8;
const FEW_ROWS_THREADS: usize = 128;
const FEW_ROWS_FEATURES: usize = FEW_ROWS_THREADS / 32;
/// Rows and output features of a block of `linear_tiles`.
const TILE: usize = 64;
/// Elements that a thread reads together; rows of floats are padded to it with zeros.
const CHUNK: usize = 8;
/// Bytes of weights that are converted before they are sent.
const UPLOAD_BYTES: usize = 16 << 20;

/// Weights of a matrix product.
pub struct CudaLinear<D: CudaDevice> {
    parts: Vec<Part<D>>,
    bias: Option<CudaVector<D>>,
    in_features: usize,
    out_features: usize,
}

/// Consecutive output features of one element type.
struct Part<D: CudaDevice> {
    dtype: WeightDtype,
    memory: D::Memory,
    row_bytes: usize,
    first: usize,
    rows: usize,
}

/// Activations as bfloat16, for the library.
pub(crate) struct Rounded<D: CudaDevice> {
    memory: Option<D::Memory>,
    elements: usize,
    /// Padded depth of the deepest product, once its weights are packed.
    deepest: Cell<usize>,
}

/// Input, output and rows of a product, and the order of its sums.
pub(crate) struct Operands<'a, D: CudaDevice> {
    pub(crate) input: &'a CudaBuffer<D>,
    pub(crate) rows: usize,
    pub(crate) out: &'a CudaBuffer<D>,
    pub(crate) sum_order: SumOrder,
}

impl<D: CudaDevice> CudaLinear<D> {
    /// Sends the matrices, stacked.
    ///
    /// # Errors
    /// As [`Backend::pack_linear`](crate::Backend::pack_linear).
    pub(crate) fn pack(
        device: &D,
        parts: &[WeightView<'_>],
        bias: Option<&[f32]>,
        formats: &[WeightFormat],
    ) -> Result<Self, KernelError> {
        let (out_features, in_features) = stacked_shape("pack_linear", parts, bias, formats)?;
        let kept = |i: usize| formats[i].of(parts[i].dtype);
        let mut packed: Vec<Part<D>> = Vec::new();
        let (mut index, mut first) = (0, 0);
        while index < parts.len() {
            let dtype = kept(index);
            let end = (index..parts.len())
                .find(|&i| kept(i) != dtype)
                .unwrap_or(parts.len());
            let views = &parts[index..end];
            let rows = views.iter().map(|view| view.rows).sum();
            if rows > 0 {
                packed.push(Part::pack(device, views, dtype, (first, rows))?);
            }
            (index, first) = (end, first + rows);
        }
        Ok(Self {
            parts: packed,
            bias: bias.map(|bias| CudaVector::new(device, bias)).transpose()?,
            in_features,
            out_features,
        })
    }

    pub(crate) fn out_features(&self) -> usize {
        self.out_features
    }

    /// `out[row] = scale * self[token_ids[row]]`, the ids and those that were drawn being at addresses.
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn embed(
        &self,
        device: &D,
        (token_ids, rows): (u64, usize),
        drawn: u64,
        scale: f32,
        out: &CudaBuffer<D>,
    ) -> Result<(), KernelError> {
        assert_eq!(out.cols, self.in_features, "columns of the output");
        for part in &self.parts {
            let arguments = EmbedArguments {
                table: device.address(&part.memory),
                token_ids,
                drawn,
                out: out.values(device, rows),
                row_bytes: part.row_bytes as u64,
                dtype: part.dtype.code(),
                first: part.first as u32,
                rows: part.rows as u32,
                cols: self.in_features as u32,
                scale,
            };
            device.launch(Geometry::new([rows, 1], 128), &arguments)?;
        }
        Ok(())
    }

    /// `out = input * self^T + bias`.
    ///
    /// # Errors
    /// `Device`; `OutOfMemory` of more rows than there was room for.
    pub(crate) fn multiply(
        &self,
        device: &D,
        rounded: &mut Rounded<D>,
        operands: &Operands<'_, D>,
    ) -> Result<(), KernelError> {
        let &Operands { input, rows, .. } = operands;
        assert_eq!(input.cols, self.in_features, "columns of the input");
        assert_eq!(
            operands.out.cols, self.out_features,
            "columns of the output"
        );
        for part in &self.parts {
            let is_few = rows <= MAX_FEW_ROWS;
            match (operands.sum_order, part.product_dtype(input.dtype)) {
                (SumOrder::Free, Some(dtype)) if !is_few && device.has_library() => {
                    self.by_library(device, rounded, operands, (part, dtype))?;
                }
                (SumOrder::Free, _) if !is_few => {
                    tiles(device, self.arguments(device, part, operands))?;
                }
                // A row's bits are the same in all of these.
                _ if self.streams(part) => self.stream(device, rounded, operands, (part, None))?,
                _ => few_rows(device, self.arguments(device, part, operands))?,
            }
        }
        Ok(())
    }

    /// The product into `operands.out` and the gated unit of its two halves into `gated`, if one kernel
    /// does both.
    ///
    /// # Errors
    /// `Device`.
    pub(crate) fn multiply_gated(
        &self,
        device: &D,
        rounded: &mut Rounded<D>,
        operands: &Operands<'_, D>,
        (function, gated): ((u32, f32, f32), &CudaBuffer<D>),
    ) -> Result<bool, KernelError> {
        // Where sums are fixed, units are made of what was not rounded, whatever the rows.
        let takes = operands.rows <= MAX_FEW_ROWS || operands.sum_order == SumOrder::Fixed;
        match &self.parts[..] {
            [part] if takes && self.streams(part) => {
                assert_eq!(
                    operands.input.cols, self.in_features,
                    "columns of the input"
                );
                assert_eq!(2 * gated.cols, self.out_features, "columns of the output");
                let to = gated.values(device, operands.rows);
                self.stream(device, rounded, operands, (part, Some((function, to))))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Whether the kernels of `rows_bf16` take the part.
    fn streams(&self, part: &Part<D>) -> bool {
        part.dtype == WeightDtype::Bf16 && self.in_features.is_multiple_of(CHUNK)
    }

    /// The product, and perhaps a gated unit of it, by the kernels of `rows_bf16`.
    fn stream(
        &self,
        device: &D,
        rounded: &mut Rounded<D>,
        operands: &Operands<'_, D>,
        (part, gate): (&Part<D>, Option<Gate>),
    ) -> Result<(), KernelError> {
        let mut arguments = self.arguments(device, part, operands);
        let rows = Rows::of(device, operands.rows, part.rows);
        if rows == Rows::Many && operands.input.dtype == ActivationDtype::F32 {
            arguments.input = rounded.round(device, operands.input, operands.rows)?;
        }
        rows_bf16::multiply(device, rows, arguments, gate)
    }

    fn arguments(&self, device: &D, part: &Part<D>, operands: &Operands<'_, D>) -> LinearArguments {
        let bias = self.bias.as_ref();
        LinearArguments {
            input: operands.input.values(device, operands.rows),
            weight: device.address(&part.memory),
            bias: bias.map_or(0, |bias| bias.address(device) + 4 * part.first as u64),
            out: operands.out.values_from(device, operands.rows, part.first),
            row_bytes: part.row_bytes as u64,
            dtype: part.dtype.code(),
            rows: operands.rows as u32,
            in_features: self.in_features as u32,
            out_features: part.rows as u32,
            out_stride: self.out_features as u32,
        }
    }

    fn by_library(
        &self,
        device: &D,
        rounded: &mut Rounded<D>,
        operands: &Operands<'_, D>,
        (part, dtype): (&Part<D>, ProductDtype),
    ) -> Result<(), KernelError> {
        let &Operands {
            input, rows, out, ..
        } = operands;
        let stride = self.in_features.next_multiple_of(CHUNK);
        let as_they_are = (input.values(device, rows).address, self.in_features);
        let (input, input_stride) = match (dtype, input.dtype) {
            (ProductDtype::F32, _) => as_they_are,
            (ProductDtype::Bf16, ActivationDtype::Bf16) if stride == self.in_features => {
                as_they_are
            }
            (ProductDtype::Bf16, _) => (rounded.round(device, input, rows)?.address, stride),
        };
        let to = out.values_from(device, rows, part.first);
        device.multiply(&Product {
            dtype,
            input,
            weight: device.address(&part.memory),
            out: to.address,
            out_dtype: out.dtype,
            rows,
            in_features: self.in_features,
            out_features: part.rows,
            input_stride,
            weight_stride: stride,
            out_stride: self.out_features,
        })?;
        let Some(bias) = &self.bias else {
            return Ok(());
        };
        let arguments = AddBiasArguments {
            out: to,
            bias: bias.address(device) + 4 * part.first as u64,
            rows: rows as u32,
            cols: part.rows as u32,
            stride: self.out_features as u32,
        };
        device.launch(Geometry::of_elements(rows * part.rows), &arguments)
    }
}

fn few_rows<D: CudaDevice>(device: &D, linear: LinearArguments) -> Result<(), KernelError> {
    let features = (linear.out_features as usize).div_ceil(FEW_ROWS_FEATURES);
    let rows = (linear.rows as usize).div_ceil(FEW_ROWS);
    let geometry = Geometry::new([features, rows], FEW_ROWS_THREADS);
    device.launch(geometry, &FewRowsArguments { linear })
}

fn tiles<D: CudaDevice>(device: &D, linear: LinearArguments) -> Result<(), KernelError> {
    let grid = [linear.out_features, linear.rows].map(|size| (size as usize).div_ceil(TILE));
    device.launch(Geometry::new(grid, 256), &TilesArguments { linear })
}

impl<D: CudaDevice> Part<D> {
    /// Sends `views`, which begin at output feature `first` and have `rows` rows, as `dtype`.
    fn pack(
        device: &D,
        views: &[WeightView<'_>],
        dtype: WeightDtype,
        (first, rows): (usize, usize),
    ) -> Result<Self, KernelError> {
        let row_bytes = match dtype.block_len() {
            1 => views[0].cols.next_multiple_of(CHUNK) * dtype.block_bytes(),
            _ => dtype.row_bytes(views[0].cols),
        };
        let memory = device.allocate("weights", rows * row_bytes)?;
        let at_once = (UPLOAD_BYTES / row_bytes).max(1);
        let mut sent = 0;
        let mut bytes = Vec::new();
        for view in views {
            if view.dtype == dtype && dtype.row_bytes(view.cols) == row_bytes {
                // As they lie in the file.
                let whole = &view.data[..view.rows * row_bytes];
                device.write(&memory, sent, whole)?;
                sent += whole.len();
                continue;
            }
            for start in (0..view.rows).step_by(at_once) {
                let end = view.rows.min(start + at_once);
                bytes.clear();
                for row in start..end {
                    append_row(view, row, dtype, &mut bytes);
                    bytes.resize((row + 1 - start) * row_bytes, 0);
                }
                device.write(&memory, sent, &bytes)?;
                sent += bytes.len();
            }
        }
        Ok(Self {
            dtype,
            memory,
            row_bytes,
            first,
            rows,
        })
    }

    /// As what the library multiplies it with `activations`. Halves it does not: f32 does not fit them.
    fn product_dtype(&self, activations: ActivationDtype) -> Option<ProductDtype> {
        match (self.dtype, activations) {
            (WeightDtype::F32, ActivationDtype::F32) => Some(ProductDtype::F32),
            (WeightDtype::Bf16, _) => Some(ProductDtype::Bf16),
            _ => None,
        }
    }
}

/// Row `row` of `view` as `dtype`.
fn append_row(view: &WeightView<'_>, row: usize, dtype: WeightDtype, out: &mut Vec<u8>) {
    if view.dtype == dtype {
        let bytes = dtype.row_bytes(view.cols);
        out.extend_from_slice(&view.data[row * bytes..(row + 1) * bytes]);
        return;
    }
    if dtype.block_len() > 1 {
        for index in 0..view.cols / dtype.block_len() {
            view.block(row, index, dtype).encode(dtype, out);
        }
        return;
    }
    let mut values = vec![0.0; view.cols];
    view.read(row, 0, &mut values);
    match dtype {
        WeightDtype::F32 => out.extend(values.iter().flat_map(|x| x.to_le_bytes())),
        WeightDtype::Bf16 => {
            let rounded = values.iter().map(|&x| bf16::from_f32(x).to_le_bytes());
            out.extend(rounded.flatten());
        }
        _ => unreachable!("no format converts to {dtype:?}"),
    }
}

impl WeightDtype {
    /// `Dtype` in `kernels/cuda/weights.cuh`.
    fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Bf16 => 2,
            Self::Q4_0 => 3,
            Self::Q5_0 => 4,
            Self::Q8_0 => 5,
            Self::Q4K => 6,
            Self::Q5K => 7,
            Self::Q6K => 8,
        }
    }
}

impl<D: CudaDevice> Rounded<D> {
    pub(crate) fn new() -> Self {
        Self {
            memory: None,
            elements: 0,
            deepest: Cell::new(0),
        }
    }

    /// Takes note of a product that will come.
    pub(crate) fn expect(&self, linear: &CudaLinear<D>) {
        let depth = linear.in_features.next_multiple_of(CHUNK);
        self.deepest.set(self.deepest.get().max(depth));
    }

    /// Room for `rows` rows of the deepest product.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, device: &D, rows: usize) -> Result<(), KernelError> {
        let elements = rows * self.deepest.get();
        if elements > self.elements {
            self.memory = None;
            self.memory = Some(device.allocate("rounded activations", 2 * elements)?);
            self.elements = elements;
        }
        Ok(())
    }

    /// The first `rows` rows of `input` as bfloat16.
    fn round(
        &mut self,
        device: &D,
        input: &CudaBuffer<D>,
        rows: usize,
    ) -> Result<Values, KernelError> {
        self.reserve(device, rows)?;
        let memory = self.memory.as_ref().expect("room was made");
        let padded_cols = input.cols.next_multiple_of(CHUNK);
        let arguments = RoundArguments {
            input: input.values(device, rows),
            out: device.address(memory),
            rows: rows as u32,
            cols: input.cols as u32,
            padded_cols: padded_cols as u32,
        };
        device.launch(Geometry::of_elements(rows * padded_cols), &arguments)?;
        Ok(Values::of(device.address(memory), ActivationDtype::Bf16))
    }
}
