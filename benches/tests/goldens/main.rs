//! The models' goldens on a GPU, in a program of its own: the models' other tests are built with the
//! embedded model inside, and this one travels to machines with a GPU.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

#[path = "../../../models/tests/it/bits.rs"]
mod bits;
#[expect(dead_code, reason = "what the models' other tests need")]
#[path = "../../../models/tests/it/driver.rs"]
mod driver;
#[expect(dead_code, reason = "what the models' other tests need")]
#[path = "../../../models/tests/it/golden.rs"]
mod golden;
#[path = "../../../models/tests/it/gpu.rs"]
mod gpu;
#[path = "../../../models/tests/it/gpu_ahead.rs"]
mod gpu_ahead;
#[path = "../../../models/tests/it/variants.rs"]
mod variants;
