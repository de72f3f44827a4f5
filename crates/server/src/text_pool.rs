//! Rendering and tokenising beside the async threads: a long prompt takes milliseconds of
//! arithmetic, during which nobody else's tokens may wait.

use std::sync::Arc;

use engine::SubmitError;
use tokio::sync::Semaphore;

use crate::wire::error::ApiError;

/// Runs a bounded number of closures at a time on threads that may block.
#[derive(Clone)]
pub struct TextPool {
    permits: Arc<Semaphore>,
}

impl TextPool {
    /// A pool with a place for each core.
    pub fn new() -> Self {
        Self::with_places(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// A pool that runs so many closures at a time.
    pub fn with_places(places: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(places)),
        }
    }

    /// Begins nothing more.
    pub fn close(&self) {
        self.permits.close();
    }

    /// Runs `work` and waits for it. When the caller goes away before it has begun, it never runs.
    ///
    /// # Errors
    /// What `work` says; an internal error when it panics; that the server stops, of a closed pool.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| SubmitError::ShuttingDown)?;
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        match task.await {
            Ok(result) => result,
            Err(_) => Err(ApiError::internal("The text could not be processed.")),
        }
    }
}

impl Default for TextPool {
    fn default() -> Self {
        Self::new()
    }
}
