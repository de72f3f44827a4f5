//! Room kept for tokens that are still to be generated.

use crate::OutputReserveConfig;

/// The adaptive part of [`OutputReserveConfig`].
#[derive(Debug)]
pub(crate) struct OutputReserve {
    config: OutputReserveConfig,
    ratio: f64,
}

impl OutputReserve {
    pub(crate) fn new(config: OutputReserveConfig) -> Self {
        Self {
            config,
            ratio: config.initial_ratio,
        }
    }

    pub(crate) fn ratio(&self) -> f64 {
        self.ratio
    }

    /// Tokens to keep room for, for a request that may generate `remaining` more.
    pub(crate) fn tokens(&self, remaining: usize) -> f64 {
        self.ratio * remaining.min(self.config.clip) as f64
    }

    /// A step went by without preemption.
    pub(crate) fn decay(&mut self) {
        let step = (self.config.initial_ratio - self.config.min_ratio)
            / f64::from(self.config.decay_steps);
        self.ratio = (self.ratio - step).max(self.config.min_ratio);
    }

    /// The reserve was too small.
    pub(crate) fn raise(&mut self) {
        self.ratio = self.ratio.midpoint(1.0);
    }
}
