//! Feed-forward networks' non-linear functions.

use kernels::{Activate, Activation, Backend, GatedLinear, WeightDtype, WeightFormat, WeightView};

use crate::fixture::{Rng, download, poisoned, upload};

const ROWS: [usize; 6] = [1, 2, 5, 12, 17, 128];
const COLS: [usize; 7] = [1, 15, 16, 17, 80, 576, 1027];
const ACTIVATIONS: [Activation; 3] = [
    Activation::Silu,
    Activation::GeluTanh,
    Activation::ClampedSwiglu {
        alpha: 1.702,
        limit: 7.0,
    },
];

/// What the function makes of a gate and what it lets through.
fn gated(activation: Activation, gate: f64, up: f64) -> f64 {
    match activation {
        Activation::Silu => gate / (1.0 + (-gate).exp()) * up,
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (gate + 0.044_715 * gate.powi(3));
            // 1 + tanh(y) = 2 / (1 + e^-2y), which does not cancel.
            gate / (1.0 + (-2.0 * inner).exp()) * up
        }
        Activation::ClampedSwiglu { alpha, limit } => {
            let (alpha, limit) = (f64::from(alpha), f64::from(limit));
            let gate = gate.min(limit);
            gate / (1.0 + (-alpha * gate).exp()) * (up.clamp(-limit, limit) + 1.0)
        }
    }
}

/// How far from `want` a result may be, of the gate `gate` and what it lets through.
fn tolerance(activation: Activation, gate: f64, up: f64, want: f64) -> f64 {
    let cancelled = match activation {
        Activation::Silu => 1e-30,
        // Oracles add 1 to a tangent near -1.
        Activation::GeluTanh => 3e-7 * (gate * up).abs() + 1e-30,
        // An exponent of about 100 is rounded, and 1 is added to about -1.
        Activation::ClampedSwiglu { .. } => 3e-7 * gate.abs() + 2e-6 * want.abs() + 1e-30,
    };
    1e-6 * want.abs() + cancelled
}

/// With the unit matrix as weights, products are exact, and what is seen is the activation.
pub(crate) fn gated_units_match_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(25);
    for cols in COLS {
        let weight = gated_units(&mut backend, cols);
        for (rows, activation) in ROWS.into_iter().flat_map(|r| ACTIVATIONS.map(|a| (r, a))) {
            let mut input = rng.floats(rows * 2 * cols);
            // From one flat part of the sigmoid to its other flat part.
            input.iter_mut().step_by(3).for_each(|x| *x *= 120.0);
            let buffer = upload(&mut backend, &input, 2 * cols);
            let mut gate_up = poisoned(&mut backend, rows, 2 * cols);
            let mut out = poisoned(&mut backend, rows, cols);
            let op = GatedLinear {
                input: &buffer,
                weight: &weight,
                rows,
                gate_up: &mut gate_up,
                activation,
                out: &mut out,
            };
            backend.gated_linear(op).unwrap();
            let got = download(&mut backend, &out, rows);
            let rows_of = input.chunks_exact(2 * cols).zip(got.chunks_exact(cols));
            for (input, got) in rows_of {
                for (col, got) in got.iter().enumerate() {
                    let (gate, up) = (f64::from(input[col]), f64::from(input[cols + col]));
                    let want = gated(activation, gate, up);
                    let close =
                        (f64::from(*got) - want).abs() <= tolerance(activation, gate, up, want);
                    assert!(
                        close,
                        "{activation:?}, {rows} x {cols}: {got}, expected {want}"
                    );
                }
            }
        }
    }
}

pub(crate) fn activations_match_f64<B: Backend>(backend: &mut dyn FnMut() -> B) {
    let mut backend = backend();
    let mut rng = Rng::new(31);
    for (rows, cols) in ROWS.into_iter().flat_map(|r| COLS.map(|c| (r, c))) {
        let mut input = rng.floats(rows * cols);
        input.iter_mut().step_by(3).for_each(|x| *x *= 120.0);
        for activation in ACTIVATIONS {
            let mut values = upload(&mut backend, &input, cols);
            let op = Activate {
                values: &mut values,
                activation,
                rows,
            };
            backend.activate(op).unwrap();
            let got = download(&mut backend, &values, rows);
            for (x, got) in input.iter().zip(&got) {
                let x = f64::from(*x);
                // Times 1: what that one passes through its gate is what is raised by 1.
                let up = match activation {
                    Activation::ClampedSwiglu { .. } => 0.0,
                    Activation::Silu | Activation::GeluTanh => 1.0,
                };
                let want = gated(activation, x, up);
                let close = (f64::from(*got) - want).abs() <= tolerance(activation, x, 1.0, want);
                assert!(close, "{activation:?} of {x}: {got}, expected {want}");
            }
        }
    }
}

/// The unit matrix of `2 * cols` rows, as gate and up.
pub(crate) fn gated_units<B: Backend>(backend: &mut B, cols: usize) -> B::Linear {
    let mut units = vec![0.0f32; 4 * cols * cols];
    units
        .iter_mut()
        .step_by(2 * cols + 1)
        .for_each(|x| *x = 1.0);
    let data: Vec<u8> = units.iter().flat_map(|x| x.to_le_bytes()).collect();
    let halves = data.chunks(data.len() / 2).map(|data| WeightView {
        name: "units",
        data,
        dtype: WeightDtype::F32,
        rows: cols,
        cols: 2 * cols,
    });
    let halves: Vec<_> = halves.collect();
    backend
        .pack_linear(&halves, None, &[WeightFormat::F32; 2])
        .unwrap()
}
