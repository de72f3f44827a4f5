//! What happens while a step runs, and on which threads.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use engine::{Event, SamplingParams, SchedulerConfig};
use kernels::{KernelError, StepBatch, Workers};
use models::testing::{FakeLimits, FakeRunner};
use models::{Logits, ModelRunner};

use crate::client::{Client, Engine, VOCAB_SIZE, config, prompt};

/// A model that says when a step has begun, and computes it when it may.
struct GatedRunner {
    inner: FakeRunner,
    begun: Sender<()>,
    gate: Receiver<()>,
    workers: TwoThreads,
}

/// Threads that note how many tasks they are given at once.
struct TwoThreads(Arc<Mutex<Vec<usize>>>);

/// The test's end of a [`GatedRunner`].
struct Gate {
    begun: Receiver<()>,
    open: Sender<()>,
    regions: Arc<Mutex<Vec<usize>>>,
}

impl ModelRunner for GatedRunner {
    fn forward(&mut self, batch: &StepBatch) -> Result<Logits<'_>, KernelError> {
        self.begun.send(()).unwrap();
        self.gate.recv().unwrap();
        let logits = self.inner.forward(batch)?;
        Ok(logits.with_workers(&self.workers))
    }
}

impl Workers for TwoThreads {
    fn num_workers(&self) -> usize {
        2
    }

    fn run(&self, num_tasks: usize, run: &(dyn Fn(usize, usize) + Sync)) {
        self.0.lock().unwrap().push(num_tasks);
        std::thread::scope(|scope| {
            for worker in 0..2 {
                let own = (0..num_tasks).filter(move |task| task % 2 == worker);
                scope.spawn(move || own.for_each(|task| run(worker, task)));
            }
        });
    }
}

fn start(config: SchedulerConfig) -> (Engine, Gate) {
    let inner = FakeRunner::new(FakeLimits {
        vocab_size: VOCAB_SIZE,
        num_blocks: config.num_blocks as usize,
        block_size: config.block_size,
        max_num_batched_tokens: config.max_num_batched_tokens,
        max_num_seqs: config.max_num_seqs,
    });
    let counters = inner.counters();
    let ((begun, has_begun), (open, gate)) = (channel(), channel());
    let regions = Arc::new(Mutex::new(Vec::new()));
    let runner = GatedRunner {
        inner,
        begun,
        gate,
        workers: TwoThreads(Arc::clone(&regions)),
    };
    let (handle, thread) = engine::start(config, Box::new(runner)).unwrap();
    let engine = Engine {
        handle,
        thread,
        counters,
    };
    let gate = Gate {
        begun: has_begun,
        open,
        regions,
    };
    (engine, gate)
}

#[test]
fn a_token_is_with_its_client_while_the_next_step_runs() {
    let (engine, gate) = start(config(100, 256));
    let prompt = prompt(3, 20);
    let client = engine.submit(&prompt, 3);
    gate.begun.recv().unwrap();
    assert!(matches!(client.next(), Event::Admitted(_)));
    let expected = FakeRunner::oracle(VOCAB_SIZE, &prompt, 3);
    for (step, expected) in expected.into_iter().enumerate() {
        gate.open.send(()).unwrap();
        if step < 2 {
            // The next step runs, and cannot end before the gate is opened again.
            gate.begun.recv().unwrap();
        }
        match client.next() {
            Event::Token(output) => assert_eq!(output.token.0, expected),
            event => panic!("{event:?}"),
        }
    }
    assert!(matches!(client.next(), Event::Finished(_)));
    engine.shut_down();
}

/// The rows of each region of the model's threads, of five requests that overlap.
fn regions(sampling: &SamplingParams) -> Vec<usize> {
    let (engine, gate) = start(config(200, 256));
    let prompts: Vec<_> = (0..5).map(|seed| prompt(seed, 20)).collect();
    let submit = |prompt: &Vec<u32>| {
        let submitted = engine.try_submit_sampled(prompt, 2, sampling.clone(), &[]);
        submitted.unwrap()
    };
    let first = submit(&prompts[0]);
    gate.begun.recv().unwrap();
    // They arrive while the first one's prompt is computed.
    let others: Vec<Client> = prompts[1..].iter().map(submit).collect();
    (0..3).for_each(|_| gate.open.send(()).unwrap());
    for (client, prompt) in [first].iter().chain(&others).zip(&prompts) {
        let answer = client.answer();
        assert_eq!(answer.tokens, FakeRunner::oracle(VOCAB_SIZE, prompt, 2));
    }
    let regions = gate.regions.lock().unwrap().clone();
    engine.shut_down();
    regions
}

#[test]
fn the_rows_of_a_step_are_sampled_on_the_models_threads() {
    let sampling = SamplingParams {
        logprobs: Some(0),
        ..SamplingParams::greedy()
    };
    // The first prompt; its second token beside the others' prompts; their second tokens.
    assert_eq!(regions(&sampling), [1, 5, 4]);
}

#[test]
fn the_likeliest_tokens_are_the_models_choice() {
    assert_eq!(regions(&SamplingParams::greedy()), [0; 0]);
}
