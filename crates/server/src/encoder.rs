//! An encoder beside the served model, as requests see it: its name, its tokenizer, and its queue.
//!
//! It computes on threads that may block, one text at a time, and never holds up the engine but for
//! the cores that they share.

use std::sync::Arc;
use std::time::Duration;

use context::{Window, WindowExceeded};
use engine::SubmitError;
use models::{EmbedError, Encoder};
use text::Tokenizer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::embedding::normalised;
use crate::model::max_text_bytes;
use crate::text_pool::TextPool;
use crate::wire::error::ApiError;

/// When a client that the queue had no place for may come back: most requests are done by then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A model that embeds, and does not generate. Clones share everything.
#[derive(Clone)]
pub struct ServedEncoder {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    encoder: Encoder,
    tokenizer: Tokenizer,
    max_text_bytes: usize,
    /// A place for each request that may be here.
    queue: Arc<Semaphore>,
    places: usize,
    /// Has one place.
    computing: TextPool,
}

/// A request's place in the queue; dropping it gives it back.
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl ServedEncoder {
    /// An encoder that requests call `name`; `places` of them may be here at a time.
    pub fn new(name: String, encoder: Encoder, tokenizer: Tokenizer, places: usize) -> Self {
        let window = Window {
            tokens: encoder.window(),
        };
        let places = places.min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            name,
            max_text_bytes: max_text_bytes(&tokenizer, encoder.vocab_size(), window),
            encoder,
            tokenizer,
            queue: Arc::new(Semaphore::new(places)),
            places,
            computing: TextPool::with_places(1),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What requests call it.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Tokens of a text at most.
    pub fn window(&self) -> Window {
        Window {
            tokens: self.shared.encoder.window(),
        }
    }

    /// Ids of its vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.shared.encoder.vocab_size()
    }

    /// The tokens of a text, computed in `pool`.
    ///
    /// # Errors
    /// When it cannot fit or cannot be tokenised; `param` is the text's path in the request.
    pub async fn tokens(
        &self,
        pool: &TextPool,
        param: String,
        text: String,
        add_special_tokens: bool,
    ) -> Result<Vec<u32>, ApiError> {
        let shared = Arc::clone(&self.shared);
        let window = self.window();
        pool.run(move || {
            if text.len() > shared.max_text_bytes {
                return Err(ApiError::text_too_long(&param, text.len(), window));
            }
            let text = match shared.encoder.lower_case() {
                true => text.to_lowercase(),
                false => text,
            };
            let tokens = shared.tokenizer.encode(&text, add_special_tokens);
            tokens.map_err(|error| {
                let message = format!("`{param}` cannot be tokenised: {error}");
                ApiError::field(param, message)
            })
        })
        .await
    }

    /// Whether a text of so many tokens can be embedded; `param` is its path in the request.
    ///
    /// # Errors
    /// It is empty, or longer than the window.
    pub fn check_length(&self, param: &str, tokens: usize) -> Result<(), ApiError> {
        let window = self.window().tokens;
        match tokens {
            0 => Err(refused(&EmbedError::Empty, param)),
            tokens if tokens > window => {
                Err(refused(&EmbedError::TooLong { tokens, window }, param))
            }
            _ => Ok(()),
        }
    }

    /// Takes a place for a request.
    ///
    /// # Errors
    /// Every place is taken, or the server stops.
    pub fn admit(&self) -> Result<Place, ApiError> {
        let permit = Arc::clone(&self.shared.queue).try_acquire_owned();
        match permit {
            Ok(permit) => Ok(Place { _permit: permit }),
            Err(TryAcquireError::NoPermits) => Err(ApiError::from(SubmitError::QueueFull {
                retry_after: RETRY_AFTER,
            })),
            Err(TryAcquireError::Closed) => Err(SubmitError::ShuttingDown.into()),
        }
    }

    /// The vector of a text, of length 1, when it is its turn: texts of all requests take turns.
    /// `param` is the text's path in the request.
    ///
    /// # Errors
    /// As [`Encoder::embed`], or the server stops.
    pub async fn embed(
        &self,
        _place: &Place,
        param: String,
        tokens: Vec<u32>,
    ) -> Result<Vec<f32>, ApiError> {
        let shared = Arc::clone(&self.shared);
        let embed = move || {
            let vector = shared.encoder.embed(&tokens);
            vector
                .map(normalised)
                .map_err(|error| refused(&error, &param))
        };
        self.shared.computing.run(embed).await
    }

    /// Takes no more requests; those that are here go on.
    pub fn stop(&self) {
        self.shared.queue.close();
    }

    /// Begins no more texts.
    pub fn abort(&self) {
        self.stop();
        self.shared.computing.close();
    }

    /// Whether no request is here.
    pub fn is_idle(&self) -> bool {
        self.shared.queue.available_permits() == self.shared.places
    }
}

/// Of the text at `param`.
fn refused(error: &EmbedError, param: &str) -> ApiError {
    match *error {
        EmbedError::TooLong { tokens, window } => ApiError::context_length(WindowExceeded {
            prompt: tokens,
            output: 0,
            window,
        })
        .with_param(param),
        EmbedError::Empty | EmbedError::Token { .. } => {
            ApiError::field(param, format!("`{param}` cannot be embedded: {error}."))
        }
        EmbedError::NotFinite | EmbedError::Compute(_) => {
            ApiError::internal(format!("The embedding model failed: {error}."))
        }
    }
}
