//! Where a layer's norms stand, and what they are.

/// The norms of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormConfig {
    /// What they do.
    pub kind: NormKind,
    /// Added to the mean square.
    pub eps: f32,
    /// Added to every weight: Gemma's checkpoints store what a weight differs from 1 by.
    pub weight_offset: f32,
    /// Where they stand in a layer.
    pub placement: NormPlacement,
}

/// What a norm does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Divides by the root of the mean square.
    Rms,
    /// Subtracts the mean before that, and adds a bias after it.
    Layer,
}

/// Where a layer's norms stand, relative to attention and to the feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlacement {
    /// Before each, as in Llama.
    Before,
    /// After each, before the result is added to the state, as in OLMo 2.
    After,
    /// Both, as in Gemma 2.
    Around,
}

/// What queries and keys are normalised by, before the rotary embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// Not at all.
    None,
    /// Every head by itself.
    Heads,
    /// All query heads together, and all key heads.
    Whole,
}

/// Something for each of a layer's norms that the model has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorms<T> {
    pub(crate) before_attention: Option<T>,
    pub(crate) after_attention: Option<T>,
    pub(crate) before_mlp: Option<T>,
    pub(crate) after_mlp: Option<T>,
}

impl NormPlacement {
    /// The names of the norms. What stands between attention and the feed-forward network is named
    /// after attention, whichever of the two it belongs to.
    pub(crate) fn names(self) -> LayerNorms<&'static str> {
        let (input, middle) = ("input_layernorm", "post_attention_layernorm");
        let after_mlp = "post_feedforward_layernorm";
        match self {
            Self::Before => LayerNorms {
                before_attention: Some(input),
                after_attention: None,
                before_mlp: Some(middle),
                after_mlp: None,
            },
            Self::After => LayerNorms {
                before_attention: None,
                after_attention: Some(middle),
                before_mlp: None,
                after_mlp: Some(after_mlp),
            },
            Self::Around => LayerNorms {
                before_attention: Some(input),
                after_attention: Some(middle),
                before_mlp: Some("pre_feedforward_layernorm"),
                after_mlp: Some(after_mlp),
            },
        }
    }
}

impl<T> LayerNorms<T> {
    /// Those that there are, in the order in which a layer applies them.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = T> {
        let all = [
            self.before_attention,
            self.after_attention,
            self.before_mlp,
            self.after_mlp,
        ];
        all.into_iter().flatten()
    }

    /// The same with what `f` makes of each.
    ///
    /// # Errors
    /// The first one of `f`.
    pub(crate) fn try_map<U, E>(
        self,
        mut f: impl FnMut(T) -> Result<U, E>,
    ) -> Result<LayerNorms<U>, E> {
        Ok(LayerNorms {
            before_attention: self.before_attention.map(&mut f).transpose()?,
            after_attention: self.after_attention.map(&mut f).transpose()?,
            before_mlp: self.before_mlp.map(&mut f).transpose()?,
            after_mlp: self.after_mlp.map(&mut f).transpose()?,
        })
    }
}
