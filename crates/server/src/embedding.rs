//! A text's way through the engine to the state behind its last token.

use engine::{
    AdapterHandle, EngineHandle, Event, EventSink, GenerateRequest, RequestError, TokenId,
};
use tokio::sync::oneshot;

/// A text to embed.
pub(crate) struct EmbeddingCall {
    /// Its tokens.
    pub(crate) tokens: Vec<u32>,
    /// Class of the request.
    pub(crate) priority: i32,
    /// Whose cached prefixes are used.
    pub(crate) cache_salt: Vec<u8>,
    /// What it is computed with, beside the model.
    pub(crate) adapter: Option<AdapterHandle>,
}

/// What the engine made of a text.
pub(crate) struct Embedded {
    /// Of length 1.
    pub(crate) vector: Vec<f32>,
    /// Tokens that were in the prefix cache.
    pub(crate) cached_tokens: usize,
}

impl EmbeddingCall {
    /// Waits for the embedding: the model's state behind the last token, scaled to length 1, as
    /// sentence embedders made of decoders have it. Dropping the future cancels the request within
    /// one step.
    ///
    /// # Errors
    /// When the engine refuses or fails.
    pub(crate) async fn embed(self, engine: &EngineHandle) -> Result<Embedded, RequestError> {
        let (done, embedded) = oneshot::channel();
        let sink = EmbeddingSink {
            vector: Vec::new(),
            cached_tokens: 0,
            done: Some(done),
        };
        let prompt = self.tokens.into_iter().map(TokenId).collect();
        let submitted = engine.submit(GenerateRequest {
            priority: self.priority,
            cache_salt: self.cache_salt,
            adapter: self.adapter,
            embed: true,
            // A request generates something; this is thrown away.
            ..GenerateRequest::greedy(prompt, 1, Box::new(sink))
        });
        submitted.map_err(RequestError::Refused)?;
        // A sink that ends without a word was dropped by an engine that stops.
        embedded.await.unwrap_or(Err(RequestError::ShutDown))
    }
}

struct EmbeddingSink {
    vector: Vec<f32>,
    cached_tokens: usize,
    done: Option<oneshot::Sender<Result<Embedded, RequestError>>>,
}

impl EmbeddingSink {
    fn end(&mut self, result: Result<Embedded, RequestError>) {
        if let Some(done) = self.done.take() {
            // Who asked may have gone.
            let _ = done.send(result);
        }
    }
}

impl EventSink for EmbeddingSink {
    fn send(&mut self, event: Event) {
        match event {
            Event::Admitted(admission) => self.cached_tokens = admission.cached_tokens,
            Event::Embedded(state) => self.vector = normalised(state),
            Event::Finished(_) => {
                let vector = std::mem::take(&mut self.vector);
                let cached_tokens = self.cached_tokens;
                self.end(Ok(Embedded {
                    vector,
                    cached_tokens,
                }));
            }
            Event::Failed(error) => self.end(Err(error)),
            Event::Scored(_) | Event::Token(_) => {}
        }
    }

    fn is_closed(&self) -> bool {
        self.done.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

/// The vector scaled to length 1; the zero vector stays.
pub(crate) fn normalised(mut vector: Vec<f32>) -> Vec<f32> {
    let squares = vector.iter().map(|&value| f64::from(value).powi(2));
    let length = squares.sum::<f64>().sqrt();
    if length > 0.0 {
        for value in &mut vector {
            *value = (f64::from(*value) / length) as f32;
        }
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn vectors_have_length_one() {
        assert_eq!(normalised(vec![3.0, -4.0]), [0.6, -0.8]);
        assert_eq!(normalised(vec![0.0; 2]), [0.0; 2]);
        assert_eq!(normalised(vec![1e30, 0.0]), [1.0, 0.0]);
    }
}
