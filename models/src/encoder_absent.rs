//! In the place of encoders, in a program that was built without them.

use crate::Pooling;
use crate::embed_error::EmbedError;
use crate::model::{ModelFiles, OpenError};
use crate::source::ModelSource;

/// An encoder: none, where they are not built.
pub struct Encoder(Never);

/// Private, so that callers are compiled as if there could be one.
enum Never {}

impl Encoder {
    /// # Errors
    /// Always: there is none.
    pub fn open(_source: &ModelSource) -> Result<Self, OpenError> {
        Err(OpenError::NotBuilt {
            what: "an embedding model".to_owned(),
            feature: "encoders",
        })
    }

    /// The same encoder.
    pub fn within_workspace(self, _bytes: usize) -> Self {
        self
    }

    /// # Errors
    /// Never.
    pub fn embed(&self, _tokens: &[u32]) -> Result<Vec<f32>, EmbedError> {
        match self.0 {}
    }

    /// Of no text.
    pub fn workspace_bytes(&self) -> usize {
        match self.0 {}
    }

    /// Of no text.
    pub fn window(&self) -> usize {
        match self.0 {}
    }

    /// Of no vocabulary.
    pub fn vocab_size(&self) -> usize {
        match self.0 {}
    }

    /// Of no states.
    pub fn pooling(&self) -> Pooling {
        match self.0 {}
    }

    /// Of no text.
    pub fn lower_case(&self) -> bool {
        match self.0 {}
    }

    /// Of no files.
    pub fn files(&self) -> &ModelFiles {
        match self.0 {}
    }

    /// Of no checkpoint.
    pub fn unread_tensors(&self) -> &[String] {
        match self.0 {}
    }
}
