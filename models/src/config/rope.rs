//! The rotary embedding as a configuration describes it.

use super::{ConfigError, Fields};

/// Rotary embedding (Su et al. 2021), rotating halves against each other.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// Base of the wavelengths.
    pub theta: f64,
    /// How positions beyond those of pre-training are reached.
    pub scaling: RopeScaling,
    /// Share of the head, from its start, that is rotated; usually 1.
    pub partial_rotary_factor: f64,
}

/// How the frequencies are changed for long contexts, with the parameters of `transformers`.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All frequencies divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1: low frequencies divided by `factor`, high ones kept, a ramp between.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` count as low frequencies.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` count as high frequencies.
        high_freq_factor: f64,
        /// Positions of pre-training.
        original_max_position_embeddings: usize,
    },
    /// YaRN (Peng et al. 2023).
    Yarn {
        /// The divisor of low frequencies.
        factor: f64,
        /// Rotations above which a dimension keeps its frequency.
        beta_fast: f64,
        /// Rotations below which a dimension is interpolated.
        beta_slow: f64,
        /// Positions of pre-training.
        original_max_position_embeddings: usize,
        /// Factor of cosines and sines.
        attention_factor: f64,
        /// Round the ramp's ends to whole dimensions.
        truncate: bool,
    },
    /// LongRoPE (Ding et al. 2024): each pair's frequency divided by a number of its own, one of two
    /// lists of `[rotary_dim / 2]`. Which one it is depends on the longest sequence that is served,
    /// for all sequences alike: keys in the cache must not depend on what comes after them.
    LongRope {
        /// Divisors up to `original_max_position_embeddings`.
        short_factor: Vec<f32>,
        /// Divisors for sequences that may be longer.
        long_factor: Vec<f32>,
        /// Positions of pre-training.
        original_max_position_embeddings: usize,
        /// Factor of cosines and sines.
        attention_factor: f64,
    },
    /// Each pair's frequency divided by a number of its own, `[rotary_dim / 2]`; only GGUF files
    /// have it, in the place of `Llama3`.
    Divisors(Vec<f32>),
}

impl RopeConfig {
    /// Reads `rope_parameters` (transformers 5), or else `rope_theta` and `rope_scaling`.
    pub(crate) fn parse(
        fields: &Fields<'_>,
        default_theta: f64,
        max_position_embeddings: usize,
    ) -> Result<Self, ConfigError> {
        let parameters = match fields.object("rope_parameters")? {
            Some(parameters) => Some(parameters),
            None => fields.object("rope_scaling")?,
        };
        let nested = |name: &str| name == "full_attention" || name == "sliding_attention";
        if parameters.is_some_and(|p| p.names().any(nested)) {
            let supported = "one set of parameters for all layers";
            return Err(fields.unsupported("rope_parameters", supported));
        }
        Self::of(
            parameters,
            Some(fields),
            default_theta,
            max_position_embeddings,
        )
    }

    /// As [`Self::parse`], of layers without a window and of those with one: `rope_parameters` by type
    /// of layer (transformers 5), or else `rope_theta`, `rope_scaling` and `rope_local_base_freq`.
    pub(crate) fn parse_by_layer_type(
        fields: &Fields<'_>,
        (default_theta, default_sliding_theta): (f64, f64),
        max_position_embeddings: usize,
    ) -> Result<(Self, Self), ConfigError> {
        let by_type = fields.object("rope_parameters")?;
        if let Some(by_type) = by_type.filter(|p| p.has("full_attention")) {
            let of =
                |name, theta| Self::of(by_type.object(name)?, None, theta, max_position_embeddings);
            let full = of("full_attention", default_theta)?;
            return Ok((full, of("sliding_attention", default_sliding_theta)?));
        }
        let sliding = Self {
            theta: fields
                .number("rope_local_base_freq")?
                .unwrap_or(default_sliding_theta),
            scaling: RopeScaling::None,
            partial_rotary_factor: 1.0,
        };
        let full = Self::parse(fields, default_theta, max_position_embeddings)?;
        Ok((full, sliding))
    }

    /// Of `parameters`, and where these say nothing of `outer`.
    pub(crate) fn of(
        parameters: Option<Fields<'_>>,
        outer: Option<&Fields<'_>>,
        default_theta: f64,
        max_position_embeddings: usize,
    ) -> Result<Self, ConfigError> {
        let number = |name: &'static str| match parameters.map(|p| p.number(name)).transpose()? {
            Some(Some(value)) => Ok(Some(value)),
            None | Some(None) => Ok(outer
                .map(|fields| fields.number(name))
                .transpose()?
                .flatten()),
        };
        let theta = number("rope_theta")?.unwrap_or(default_theta);
        let partial_rotary_factor = number("partial_rotary_factor")?.unwrap_or(1.0);
        let original = outer.map(|fields| fields.count("original_max_position_embeddings"));
        let scaling = match parameters {
            None => RopeScaling::None,
            Some(parameters) => RopeScaling::parse(
                &parameters,
                original.transpose()?.flatten(),
                max_position_embeddings,
            )?,
        };
        Ok(Self {
            theta,
            scaling,
            partial_rotary_factor,
        })
    }

    /// Elements at the head's start that are rotated.
    pub fn rotary_dim(&self, head_dim: usize) -> usize {
        (head_dim as f64 * self.partial_rotary_factor) as usize
    }

    pub(super) fn validate(&self, head_dim: usize) -> Result<(), ConfigError> {
        let contradiction = |fields, reason| Err(ConfigError::Contradiction { fields, reason });
        if !self.theta.is_finite() || self.theta <= 1.0 {
            return contradiction("rope_theta", format!("{} is not above 1", self.theta));
        }
        let share = self.partial_rotary_factor;
        if !(share > 0.0 && share <= 1.0) {
            return contradiction("partial_rotary_factor", format!("{share} is not in (0, 1]"));
        }
        let rotary_dim = self.rotary_dim(head_dim);
        if rotary_dim == 0 || !rotary_dim.is_multiple_of(2) {
            let reason = format!("{rotary_dim} rotated elements are not a number of pairs");
            return contradiction("head_dim, partial_rotary_factor", reason);
        }
        self.scaling.validate(rotary_dim)
    }
}

impl RopeScaling {
    /// Whether sequences of up to `max_positions` positions are rotated otherwise than shorter ones.
    pub(crate) fn is_long(&self, max_positions: usize) -> bool {
        match *self {
            Self::LongRope {
                original_max_position_embeddings,
                ..
            } => max_positions > original_max_position_embeddings,
            _ => false,
        }
    }

    fn parse(
        fields: &Fields<'_>,
        original: Option<usize>,
        max_position_embeddings: usize,
    ) -> Result<Self, ConfigError> {
        let name = if fields.text("rope_type")?.is_some() {
            "rope_type"
        } else {
            "type"
        };
        // A model may say outside of the parameters how long its pre-training was.
        let original = match original {
            Some(original) => original,
            None => fields
                .count("original_max_position_embeddings")?
                .unwrap_or(max_position_embeddings),
        };
        match fields.text(name)? {
            None | Some("default") => Ok(Self::None),
            Some("linear") => Ok(Self::Linear {
                factor: fields.needed_number("factor")?,
            }),
            Some("llama3") => Ok(Self::Llama3 {
                factor: fields.needed_number("factor")?,
                low_freq_factor: fields.needed_number("low_freq_factor")?,
                high_freq_factor: fields.needed_number("high_freq_factor")?,
                original_max_position_embeddings: original,
            }),
            Some("yarn") => Self::parse_yarn(fields, original, max_position_embeddings),
            // The first name that Phi-3 had for it.
            Some("longrope" | "su") => {
                Self::parse_longrope(fields, original, max_position_embeddings)
            }
            Some(_) => Err(fields.unsupported(name, "default, linear, llama3, yarn, longrope")),
        }
    }

    fn parse_longrope(
        fields: &Fields<'_>,
        original: usize,
        max_position_embeddings: usize,
    ) -> Result<Self, ConfigError> {
        let factor = match fields.number("factor")? {
            Some(factor) => factor,
            None => max_position_embeddings as f64 / original.max(1) as f64,
        };
        let attention_factor = match fields.number("attention_factor")? {
            Some(attention_factor) => attention_factor,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + factor.ln() / (original as f64).ln()).sqrt(),
        };
        let divisors = |name| {
            Ok(fields
                .needed_numbers(name)?
                .iter()
                .map(|&x| x as f32)
                .collect())
        };
        Ok(Self::LongRope {
            short_factor: divisors("short_factor")?,
            long_factor: divisors("long_factor")?,
            original_max_position_embeddings: original,
            attention_factor,
        })
    }

    fn parse_yarn(
        fields: &Fields<'_>,
        original: usize,
        max_position_embeddings: usize,
    ) -> Result<Self, ConfigError> {
        let factor = match fields.number("factor")? {
            Some(factor) => factor,
            None => max_position_embeddings as f64 / original.max(1) as f64,
        };
        // 0 counts as not given, as in transformers.
        let given = |name| Ok(fields.number(name)?.filter(|&value| value != 0.0));
        let attention_factor = match fields.number("attention_factor")? {
            Some(attention_factor) => attention_factor,
            None => match (given("mscale")?, given("mscale_all_dim")?) {
                (Some(mscale), Some(all_dim)) => {
                    yarn_mscale(factor, mscale) / yarn_mscale(factor, all_dim)
                }
                _ => yarn_mscale(factor, 1.0),
            },
        };
        Ok(Self::Yarn {
            factor,
            beta_fast: given("beta_fast")?.unwrap_or(32.0),
            beta_slow: given("beta_slow")?.unwrap_or(1.0),
            original_max_position_embeddings: original,
            attention_factor,
            truncate: fields.flag("truncate")?.unwrap_or(true),
        })
    }

    fn validate(&self, rotary_dim: usize) -> Result<(), ConfigError> {
        let contradiction = |fields, reason| Err(ConfigError::Contradiction { fields, reason });
        let (factor, original) = match *self {
            Self::None => return Ok(()),
            Self::Divisors(ref divisors) => {
                return validate_divisors("rope_freqs.weight", divisors, rotary_dim / 2);
            }
            Self::LongRope {
                ref short_factor,
                ref long_factor,
                original_max_position_embeddings,
                attention_factor,
            } => {
                validate_divisors("short_factor", short_factor, rotary_dim / 2)?;
                validate_divisors("long_factor", long_factor, rotary_dim / 2)?;
                (attention_factor, original_max_position_embeddings)
            }
            Self::Linear { factor } => (factor, 1),
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                // Negated, so that NaN is refused too.
                if !(low_freq_factor > 0.0 && high_freq_factor > low_freq_factor) {
                    let reason = format!("{high_freq_factor} is not above {low_freq_factor}");
                    return contradiction("low_freq_factor, high_freq_factor", reason);
                }
                (factor, original_max_position_embeddings)
            }
            Self::Yarn {
                factor,
                original_max_position_embeddings,
                ..
            } => (factor, original_max_position_embeddings),
        };
        if !factor.is_finite() || factor <= 0.0 {
            return contradiction(
                "factor of the rope scaling",
                format!("{factor} is unusable"),
            );
        }
        if original == 0 {
            return contradiction(
                "original_max_position_embeddings",
                "must be positive".into(),
            );
        }
        Ok(())
    }
}

/// One usable divisor for each of `pairs` pairs.
fn validate_divisors(
    fields: &'static str,
    divisors: &[f32],
    pairs: usize,
) -> Result<(), ConfigError> {
    let usable = |divisor: &&f32| divisor.is_finite() && **divisor > 0.0;
    let reason = match divisors.iter().find(|divisor| !usable(divisor)) {
        None if divisors.len() == pairs => return Ok(()),
        None => format!("{} divisors of {pairs} pairs", divisors.len()),
        Some(divisor) => format!("{divisor} is unusable"),
    };
    Err(ConfigError::Contradiction { fields, reason })
}

/// The factor of cosines and sines that YaRN recommends for a context `scale` times as long.
fn yarn_mscale(scale: f64, mscale: f64) -> f64 {
    if scale <= 1.0 {
        1.0
    } else {
        0.1 * mscale * scale.ln() + 1.0
    }
}
