//! Those who send the requests of a trace.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::Shared;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::args::ReplayArgs;
use super::hits::Hits;
use super::trace::{Prompt, Trace};
use crate::bench::asker::Asker;
use crate::bench::endpoint::Endpoint;
use crate::bench::ledger::Ledger;
use crate::bench::prompt::PromptSource;
use crate::measure::clock;
use crate::measure::random::Random;

/// What a request asked for.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Asked {
    /// In the trace, from 0.
    pub(super) index: usize,
    /// Where it stands in the file.
    pub(super) place: String,
    /// The index of the request whose answer it waited for.
    pub(super) follows: Option<usize>,
    /// Tokens of the prompt, where the trace says it.
    pub(super) input_len: Option<u32>,
    /// Tokens to generate, where the request does not say it itself.
    pub(super) output_len: Option<u32>,
    /// Share of the prompt in blocks that the trace had before, from 0 to 1.
    pub(super) hit_rate_asked: Option<f64>,
}

/// What the requests of a run share.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) asker: Asker,
    pub(super) trace: Trace,
    /// Of each request.
    pub(super) hits: Vec<Hits>,
    pub(super) ledger: Ledger<Asked>,
    pub(super) bar: ProgressBar,
    pub(super) seed: u64,
    pub(super) hash_block_size: u32,
    pub(super) ignore_eos: bool,
    /// One for each request that may run, where there is a limit.
    pub(super) places: Option<Semaphore>,
}

/// Completes when an answer has ended.
type Ended = Shared<oneshot::Receiver<Instant>>;

impl Crew {
    pub(super) fn new(
        args: &ReplayArgs,
        (asker, trace, hits): (Asker, Trace, Vec<Hits>),
        (ledger, bar): (Ledger<Asked>, ProgressBar),
        seed: u64,
    ) -> Self {
        Self {
            asker,
            trace,
            hits,
            ledger,
            bar,
            seed,
            hash_block_size: args.hash_block_size(),
            ignore_eos: args.ignore_eos.unwrap_or(true),
            places: args.max_concurrency.map(|n| Semaphore::new(n as usize)),
        }
    }

    /// Sends every request at its time, in `order`, and waits for the last answer.
    pub(super) async fn send_all(self, order: &[usize]) {
        let mut tellers = HashMap::new();
        let mut ends: HashMap<usize, Ended> = HashMap::new();
        for followed in self.trace.requests.iter().filter_map(|r| r.follows) {
            let (teller, ended) = oneshot::channel();
            // Of two requests that follow the same one both listen to the first channel.
            ends.entry(followed).or_insert_with(|| {
                tellers.insert(followed, teller);
                ended.shared()
            });
        }
        let crew = Arc::new(self);
        let mut running = JoinSet::new();
        let begin = crew.ledger.begin();
        for &index in order {
            let request = &crew.trace.requests[index];
            let due = begin + request.at;
            let before = request
                .follows
                .and_then(|followed| ends.get(&followed).cloned());
            let teller = tellers.remove(&index);
            tokio::time::sleep_until(due.into()).await;
            let crew = Arc::clone(&crew);
            running.spawn(async move {
                let due = match before {
                    // Nobody can ask before the answer is there: the wait for it is not the server's.
                    Some(before) => before.await.map_or(due, |end| end.max(due)),
                    None => due,
                };
                crew.send(index, due).await;
                if let Some(teller) = teller {
                    // Those who wait may be gone after an interruption.
                    let _unheard = teller.send(clock::monotonic());
                }
            });
            while running.try_join_next().is_some() {}
        }
        running.join_all().await;
    }

    /// One request, which should have been sent when it was `due`.
    async fn send(&self, index: usize, due: Instant) {
        let request = &self.trace.requests[index];
        let (endpoint, body) = self.body(&request.prompt, request.output_len);
        let place = match &self.places {
            Some(places) => places.acquire().await.ok(),
            None => None,
        };
        let asked = Asked {
            index,
            place: request.place.clone(),
            follows: request.follows,
            input_len: match request.prompt {
                Prompt::Blocks { tokens, .. } => Some(tokens),
                Prompt::Messages { .. } | Prompt::Body { .. } => None,
            },
            output_len: request.output_len,
            hit_rate_asked: self.hits[index].rate(),
        };
        let ticket = self.ledger.open(asked, due);
        let answer = self.asker.send(endpoint, body).await;
        self.ledger.close(ticket, &answer);
        // Only now: who takes the place finds the request closed.
        drop(place);
        self.bar.inc(1);
    }

    /// The request for `prompt`.
    fn body(&self, prompt: &Prompt, output_len: Option<u32>) -> (Endpoint, Value) {
        let (endpoint, mut body) = match prompt {
            Prompt::Body { endpoint, body } => return (*endpoint, body.clone()),
            Prompt::Messages { messages, len } => (
                Endpoint::Chat,
                json!({"messages": messages[..*len], "temperature": 0}),
            ),
            Prompt::Blocks { ids, tokens } => {
                let endpoint = self.asker.endpoint();
                let prompt = self.asker.form().render(&self.units(ids, *tokens));
                (endpoint, endpoint.request(prompt, 1))
            }
        };
        body["max_tokens"] = json!(output_len);
        if self.ignore_eos {
            body["ignore_eos"] = Value::Bool(true);
        }
        (endpoint, body)
    }

    /// `tokens` tokens, of each block the same ones whenever it comes.
    fn units(&self, ids: &[u64], tokens: u32) -> Vec<u32> {
        let form = self.asker.form();
        let mut prompt = Vec::new();
        let mut left = tokens;
        for id in ids {
            let seed = Random::new(self.seed ^ id.rotate_left(32)).next_u64();
            let mut block = PromptSource::new(form.clone(), seed)
                .fresh(form.units_within(self.hash_block_size));
            if left < self.hash_block_size {
                block.truncate(form.units_within(left));
            }
            left = left.saturating_sub(self.hash_block_size);
            prompt.append(&mut block);
        }
        prompt
    }
}
