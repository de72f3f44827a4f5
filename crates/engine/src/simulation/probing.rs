//! Probes beside the requests, and their answers beside what is then admitted.

use std::sync::{Arc, Mutex};

use scheduler::{CacheProbe, ProbePrompt};

use super::client::Client;
use crate::ProbeRequest;

/// A probe's answer, once the engine has given it.
#[derive(Default)]
pub(super) struct Probing {
    answer: Arc<Mutex<Option<CacheProbe>>>,
}

impl Probing {
    /// Asks about the prompts of clients, as they are submitted.
    pub(super) fn request(&self, clients: &[&Client], priority: i32) -> ProbeRequest {
        let answer = Arc::clone(&self.answer);
        let prompts = clients.iter().map(|client| ProbePrompt {
            tokens: client.submission.prompt.clone(),
            cache_salt: client.salt.clone(),
        });
        ProbeRequest {
            prompts: prompts.collect(),
            priority,
            sink: Box::new(move |given| *answer.lock().unwrap() = Some(given)),
        }
    }

    pub(super) fn answer(self) -> CacheProbe {
        let answer = self.answer.lock().unwrap().take();
        answer.expect("a probe is answered between steps")
    }
}
