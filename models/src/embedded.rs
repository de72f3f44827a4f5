//! The model that is part of the program.

use std::borrow::Cow;

use crate::model::{Model, ModelFiles, OpenError};
use crate::weights::safetensors;

/// Its name.
const NAME: &str = "pebble-20m";

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../embedded/pebble-20m/", $name)).as_slice()
    };
}

/// Opens it; its weights are packed straight from the program's own bytes.
///
/// # Errors
/// None with the files of this repository.
pub(crate) fn open() -> Result<Model, OpenError> {
    let files = ModelFiles {
        config: Cow::Borrowed(file!("config.json")),
        generation_config: Some(Cow::Borrowed(file!("generation_config.json"))),
        tokenizer: Some(Cow::Borrowed(file!("tokenizer.json"))),
        tokenizer_config: Some(Cow::Borrowed(file!("tokenizer_config.json"))),
        special_tokens_map: Some(Cow::Borrowed(file!("special_tokens_map.json"))),
        chat_template: None,
    };
    let checkpoint = safetensors::embedded(file!("model.safetensors"))?;
    Model::new(NAME.to_owned(), files, checkpoint)
}
