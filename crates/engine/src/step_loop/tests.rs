//! What steps count for a request's time, with a clock that only the model advances.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::Duration;

use kernels::{DRAWN_BEFORE, DrawnToken, KernelError};
use kv_cache::TokenId;
use models::testing::{FakeLimits, FakeRunner};
use models::{Logits, StepsInFlight};
use scheduler::SchedulerConfig;

use super::*;
use crate::{Completion, EngineHandle, EventSink, engine};

const VOCAB_SIZE: usize = 100;

struct StoppedClock(Arc<AtomicU64>);

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Step `k` takes `2^k` nanoseconds, so that a sum of times says which steps are in it.
struct DoublingRunner {
    inner: FakeRunner,
    time: Arc<AtomicU64>,
    steps: u32,
}

impl ModelRunner for DoublingRunner {
    fn forward(&mut self, batch: &StepBatch) -> Result<Logits<'_>, KernelError> {
        self.time.fetch_add(1 << self.steps, Ordering::Relaxed);
        self.steps += 1;
        self.inner.forward(batch)
    }
}

/// A device that draws token 7 whatever the logits, and notes how it was to draw and what it was to embed.
#[derive(Default)]
struct DrawingRunner {
    in_flight: VecDeque<usize>,
    drawn: Vec<Option<DrawnToken>>,
    noted: Arc<Mutex<Vec<(u32, f64)>>>,
}

impl ModelRunner for DrawingRunner {
    fn forward(&mut self, _: &StepBatch) -> Result<Logits<'_>, KernelError> {
        unreachable!("steps are launched")
    }

    fn steps_in_flight(&mut self) -> Option<&mut dyn StepsInFlight> {
        Some(self)
    }
}

impl StepsInFlight for DrawingRunner {
    fn launch(&mut self, batch: &StepBatch) -> Result<(), KernelError> {
        self.in_flight.push_back(batch.logits_rows.len());
        let draws = batch.draws.iter().flatten();
        let places = draws.map(|draw| (batch.token_ids[batch.token_ids.len() - 1], draw.place));
        self.noted.lock().unwrap().extend(places);
        Ok(())
    }

    fn may_follow(&self) -> bool {
        self.in_flight.len() == 1
    }

    fn finish(&mut self) -> Result<Logits<'_>, KernelError> {
        let rows = self.in_flight.pop_front().expect("a step is in flight");
        let (token, logprobs) = (7, None);
        self.drawn = vec![Some(DrawnToken { token, logprobs }); rows];
        Ok(Logits::new(&[], VOCAB_SIZE).with_drawn(&self.drawn))
    }
}

struct ChannelSink(Sender<Event>);

impl EventSink for ChannelSink {
    fn send(&mut self, event: Event) {
        self.0.send(event).expect("the test listens");
    }

    fn is_closed(&self) -> bool {
        false
    }
}

/// A sink for whose every event the clock advances by a microsecond.
struct SlowSink(Arc<AtomicU64>);

impl EventSink for SlowSink {
    fn send(&mut self, _: Event) {
        self.0.fetch_add(1_000, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        false
    }
}

/// A loop that computes 16 tokens in a step.
fn step_loop() -> (StepLoop, EngineHandle) {
    step_loop_with(Arc::new(AtomicU64::new(0)))
}

fn step_loop_with(time: Arc<AtomicU64>) -> (StepLoop, EngineHandle) {
    let runner = DoublingRunner {
        inner: FakeRunner::new(FakeLimits {
            vocab_size: VOCAB_SIZE,
            num_blocks: 100,
            block_size: 4,
            max_num_batched_tokens: 16,
            max_num_seqs: 4,
        }),
        time: Arc::clone(&time),
        steps: 0,
    };
    step_loop_of(Box::new(runner), time)
}

fn step_loop_of(runner: Box<dyn ModelRunner>, time: Arc<AtomicU64>) -> (StepLoop, EngineHandle) {
    let mut config = SchedulerConfig::new(4, 100, 256);
    (config.max_num_batched_tokens, config.max_num_seqs) = (16, 4);
    let (sender, inbox) = sync_channel(8);
    let handle = EngineHandle::new(sender, engine::limits(&config));
    let scheduler = Scheduler::new(config).expect("the configuration is right");
    let clock = Box::new(StoppedClock(time));
    let step_loop = StepLoop::new(scheduler, runner, inbox, handle.shared(), clock);
    (step_loop, handle)
}

fn submit(
    handle: &EngineHandle,
    prompt: &[u32],
    max_tokens: usize,
    stop: Vec<TokenId>,
) -> Receiver<Event> {
    let (sender, events) = channel();
    submit_to(
        handle,
        prompt,
        max_tokens,
        stop,
        Box::new(ChannelSink(sender)),
    );
    events
}

fn submit_to(
    handle: &EngineHandle,
    prompt: &[u32],
    max_tokens: usize,
    stop: Vec<TokenId>,
    sink: Box<dyn EventSink>,
) {
    let prompt = prompt.iter().map(|&token| TokenId(token)).collect();
    let mut request = GenerateRequest::greedy(prompt, max_tokens, sink);
    request.stop.stop_token_ids = stop;
    handle.submit(request).expect("the engine takes it");
}

/// The times with the tokens, and the end.
fn heard(events: &Receiver<Event>) -> (Vec<Option<Duration>>, Completion) {
    let mut times = Vec::new();
    loop {
        match events.try_recv().expect("the request has ended") {
            Event::Admitted(_) | Event::Scored(_) | Event::Embedded(_) => {}
            Event::Token(output) => times.push(output.prefill.map(|prefill| prefill.step_time)),
            Event::Finished(completion) => return (times, completion),
            Event::Failed(error) => panic!("{error}"),
        }
    }
}

fn run(step_loop: &mut StepLoop) {
    step_loop.drain();
    while !step_loop.is_idle() {
        step_loop.turn();
    }
}

#[test]
fn a_prompts_time_is_that_of_the_steps_that_computed_it() {
    let (mut step_loop, handle) = step_loop();
    let short: Vec<u32> = (0..24).collect();
    let long: Vec<u32> = (50..90).collect();
    let [first, second] = [(&short, 2), (&long, 1)].map(|(prompt, max_tokens)| {
        let events = submit(&handle, prompt, max_tokens, Vec::new());
        step_loop.drain();
        events
    });
    run(&mut step_loop);
    // Step 0 computes 16 tokens of the short prompt, step 1 the other 8 and 8 of the long one,
    // step 2 the short one's second token and 15 of the long one, step 3 16 of it and step 4 the
    // last.
    let (times, end) = heard(&first);
    let expected = Duration::from_nanos(1 + 2);
    assert_eq!(times, [Some(expected), None], "only the first token tells");
    assert_eq!(end.prefill_step_time, expected);
    let (times, end) = heard(&second);
    let expected = Duration::from_nanos(2 + 4 + 8 + 16);
    assert_eq!(times, [Some(expected)]);
    assert_eq!(end.prefill_step_time, expected);
    assert_eq!(end.queue_time, Duration::from_nanos(1));
}

#[test]
fn an_answer_without_a_token_has_it_with_its_end() {
    let (mut step_loop, handle) = step_loop();
    let prompt: Vec<u32> = (0..20).collect();
    let stop = FakeRunner::oracle(VOCAB_SIZE, &prompt, 1)[0];
    let events = submit(&handle, &prompt, 5, vec![TokenId(stop)]);
    run(&mut step_loop);
    let (times, end) = heard(&events);
    assert_eq!((times, end.completion_tokens), (Vec::new(), 1));
    assert_eq!(end.prefill_step_time, Duration::from_nanos(1 + 2));
}

#[test]
fn a_steps_time_is_split_by_what_it_went_to() {
    let time = Arc::new(AtomicU64::new(0));
    let (mut step_loop, handle) = step_loop_with(Arc::clone(&time));
    let prompt: Vec<u32> = (0..20).collect();
    let sink = Box::new(SlowSink(Arc::clone(&time)));
    submit_to(&handle, &prompt, 3, Vec::new(), sink);
    run(&mut step_loop);
    let spent = |phase: StepPhase| {
        let seconds = &step_loop.stats.step_phase_seconds[phase as usize];
        assert_eq!(seconds.counts.iter().sum::<u64>(), 4, "one for each step");
        Duration::from_secs_f64(seconds.sum)
    };
    // The model advances the clock by 1, 2, 4 and 8 ns; there are an admission, three tokens and
    // an end to be sent.
    assert_eq!(spent(StepPhase::Device), Duration::from_nanos(15));
    assert_eq!(spent(StepPhase::Send), Duration::from_micros(5));
    for phase in [StepPhase::Schedule, StepPhase::Launch, StepPhase::Sample] {
        assert_eq!(spent(phase), Duration::ZERO, "{}", phase.name());
    }
    let all: Duration = StepPhase::ALL.into_iter().map(spent).sum();
    assert_eq!(all, Duration::from_nanos(time.load(Ordering::Relaxed)));
}

#[test]
fn tokens_that_nobody_knows_yet_count_for_where_the_next_draw_falls() {
    let runner = DrawingRunner::default();
    let noted = Arc::clone(&runner.noted);
    let (mut step_loop, handle) = step_loop_of(Box::new(runner), Arc::default());
    let (sender, events) = channel();
    let prompt = (10..15).map(TokenId).collect();
    let mut request = GenerateRequest::greedy(prompt, 6, Box::new(ChannelSink(sender)));
    (request.sampling.temperature, request.sampling.seed) = (0.8, 99);
    let sampling = request.sampling.clone();
    handle.submit(request).expect("the engine takes it");
    run(&mut step_loop);
    assert_eq!(heard(&events).1.completion_tokens, 6);
    let noted = noted.lock().unwrap();
    let embedded: Vec<u32> = noted.iter().map(|&(token, _)| token).collect();
    // Each step but the first embeds what the one before has drawn in its only row.
    assert_eq!(embedded, [&[14][..], &[DRAWN_BEFORE; 5]].concat());
    let places = noted.iter().map(|&(_, place)| place);
    let wanted = (5..11).map(|position| {
        let draw = crate::sampler::draw(&sampling, position);
        draw.expect("the model may draw it").place
    });
    assert!(places.eq(wanted));
}
