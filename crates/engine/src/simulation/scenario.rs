//! What happens in a simulated run: a function of the seed.

use std::time::Duration;

use kv_cache::TokenId;
use scheduler::{OutputReserveConfig, SchedulerConfig, StopConditions, WindowConfig};

use super::adapters::NAMES;
use super::random::Random;
use crate::SamplingParams;

/// Tokens of the simulated vocabulary; small, so that stop tokens are hit by chance.
pub(super) const VOCAB_SIZE: usize = 60;

/// A configuration and the operations on it.
pub(super) struct Scenario {
    pub(super) config: SchedulerConfig,
    pub(super) operations: Vec<Operation>,
    /// The forward pass that fails, counted from 1.
    pub(super) failing_step: Option<u64>,
    /// Whether evicted blocks are kept outside of the pool.
    pub(super) keeps_blocks: bool,
    /// Slots for adapters.
    pub(super) adapter_slots: usize,
    /// Whether steps are launched before those before them have ended.
    pub(super) runs_ahead: bool,
}

pub(super) enum Operation {
    Submit(Submission),
    /// The client at this index of the submissions so far goes away.
    Leave(usize),
    /// An adapter is loaded under a name, in place of the one that had it.
    Load {
        name: usize,
        identity: u64,
    },
    /// The adapter of this name takes no new requests.
    Unload(usize),
    Advance(Duration),
    Turn,
}

/// A request, and how its client behaves.
#[derive(Clone)]
pub(super) struct Submission {
    pub(super) prompt: Vec<TokenId>,
    pub(super) sampling: SamplingParams,
    pub(super) stop: StopConditions,
    pub(super) priority: i32,
    pub(super) cache_salt: Vec<u8>,
    /// Name of its adapter; the base model's if none is loaded under it.
    pub(super) adapter: Option<usize>,
    pub(super) min_output_tokens: usize,
    pub(super) background: bool,
    /// Tokens after which the client closes its connection.
    pub(super) leaves_after: Option<usize>,
}

impl Submission {
    /// Whether it has a constraint, and if so, whether that breaks.
    pub(super) fn constraint(&self) -> Option<bool> {
        let last = self.prompt.last()?.0;
        last.is_multiple_of(4).then_some(last.is_multiple_of(5))
    }

    /// Whether it wants the state behind its prompt.
    pub(super) fn embeds(&self) -> bool {
        self.prompt.len().is_multiple_of(3)
    }

    /// Positions to score: none of every third request, some or all of the others.
    pub(super) fn scored(&self) -> Vec<usize> {
        let first = self.prompt[0].0 as usize;
        if first.is_multiple_of(3) {
            return Vec::new();
        }
        (1 + first % 2..self.prompt.len())
            .step_by(1 + first % 4)
            .collect()
    }
}

impl Scenario {
    pub(super) fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut config = config(&mut random);
        let documents: Vec<Vec<TokenId>> = (0..3)
            .map(|_| tokens(&mut random, config.max_model_len))
            .collect();
        let mut submitted = 0;
        let operations = (0..random.range(20, 120))
            .map(|_| match random.range(0, 9) {
                0..=2 => {
                    submitted += 1;
                    Operation::Submit(submission(&mut random, &config, &documents))
                }
                3 if submitted > 0 => Operation::Leave(random.range(0, submitted - 1)),
                4 => Operation::Advance(Duration::from_micros(random.range(0, 3_000_000) as u64)),
                _ => Operation::Turn,
            })
            .collect();
        let failing_step = random.one_in(8).then(|| random.range(1, 60) as u64);
        let keeps_blocks = random.one_in(2);
        if !keeps_blocks {
            config.window = window(seed, &config);
        }
        let (adapter_slots, mut operations) = adapted(seed, operations);
        let runs_ahead = ahead(seed, &mut config, &mut operations);
        Self {
            config,
            operations,
            failing_step,
            keeps_blocks,
            adapter_slots,
            runs_ahead,
        }
    }
}

/// Whether steps are launched ahead, drawn on its own, too; most requests are then such that they can
/// be, and half of the pools of layers with a window.
fn ahead(seed: u64, config: &mut SchedulerConfig, operations: &mut [Operation]) -> bool {
    let mut random = Random::new(seed ^ 0x4168_6561);
    if random.one_in(2) {
        return false;
    }
    for operation in operations {
        let Operation::Submit(submission) = operation else {
            continue;
        };
        if !random.one_in(5) {
            submission.sampling = SamplingParams::greedy();
            submission.stop.min_tokens = 0;
            submission.background = false;
        }
    }
    if let Some(window) = config.window.as_mut().filter(|_| random.one_in(2)) {
        let more = config.max_num_batched_tokens.div_ceil(config.block_size);
        window.num_blocks += more as u32;
    }
    true
}

/// A pool for layers with a sliding window, drawn on its own: none, one that just suffices, or more.
fn window(seed: u64, config: &SchedulerConfig) -> Option<WindowConfig> {
    let mut random = Random::new(seed ^ 0x5769_6e64);
    if random.one_in(3) {
        return None;
    }
    let tokens = random.choose(&[1, 2, 5, 16, 40, 200]);
    let least = WindowConfig::blocks_for(
        tokens,
        config.block_size,
        config.max_num_seqs,
        config.max_num_batched_tokens,
    );
    let more = random.choose(&[0, 0, 3, 30]);
    Some(WindowConfig {
        tokens,
        num_blocks: (least + more) as u32,
    })
}

/// The same operations with adapters among them, drawn on their own: scenarios that were found
/// without them stay what they are.
fn adapted(seed: u64, operations: Vec<Operation>) -> (usize, Vec<Operation>) {
    let mut random = Random::new(seed ^ 0x4c6f_5241);
    let slots = random.choose(&[0, 1, 2, 3]);
    if slots == 0 {
        return (slots, operations);
    }
    let mut all = Vec::with_capacity(2 * operations.len());
    for mut operation in operations {
        if random.one_in(6) {
            all.push(Operation::Load {
                name: random.range(0, NAMES - 1),
                identity: random.range(1, 5) as u64,
            });
        }
        if random.one_in(15) {
            all.push(Operation::Unload(random.range(0, NAMES - 1)));
        }
        if let Operation::Submit(submission) = &mut operation {
            submission.adapter = random.choose(&[None, Some(0), Some(1), Some(2)]);
        }
        all.push(operation);
    }
    (slots, all)
}

fn config(random: &mut Random) -> SchedulerConfig {
    let block_size = random.choose(&[1, 2, 3, 4, 8, 16, 32]);
    let blocks = random.range(3, 40);
    let capacity = blocks * block_size;
    let max_num_seqs = random.range(1, 8);
    SchedulerConfig {
        enable_prefix_caching: !random.one_in(6),
        evicted_memory: random.choose(&[0, 4, 1_000]),
        max_num_seqs,
        max_num_batched_tokens: max_num_seqs + random.range(0, 60),
        watermark: random.choose(&[0.0, 0.01, 0.2]),
        target_itl: random.one_in(2).then(|| Duration::from_micros(200)),
        max_queued_requests: random.range(1, 30),
        max_queued_tokens: random.choose(&[50, 500, 100_000]),
        output_reserve: OutputReserveConfig {
            clip: random.choose(&[4, 4_096]),
            initial_ratio: random.choose(&[0.0, 0.0, 0.7]),
            min_ratio: 0.0,
            decay_steps: random.choose(&[1, 20]),
        },
        max_overtakes: random.choose(&[0, 1, 16]),
        max_background_share: random.choose(&[0.0, 0.15, 1.0]),
        max_queued_background: random.range(1, 8),
        ..SchedulerConfig::new(block_size, blocks as u32 + 1, random.range(2, capacity))
    }
}

fn submission(
    random: &mut Random,
    config: &SchedulerConfig,
    documents: &[Vec<TokenId>],
) -> Submission {
    // One request in ten asks for more than fits, which must be refused and nothing else.
    let room = config.max_model_len - 1;
    let prompt_len = random.range(1, room);
    let shared = random.range(0, prompt_len);
    let document = &documents[random.range(0, documents.len() - 1)];
    let mut prompt = document[..shared].to_vec();
    prompt.extend(tokens(random, prompt_len - shared));
    let over = random.one_in(10);
    let max_tokens = if over {
        room + 1
    } else {
        random.range(1, config.max_model_len - prompt_len)
    };
    let sampled = random.one_in(3);
    let stop_token_ids = (0..random.range(0, 2)).map(|_| token(random)).collect();
    let background = random.one_in(6);
    Submission {
        prompt,
        sampling: SamplingParams {
            temperature: if sampled { 0.8 } else { 0.0 },
            top_p: random.choose(&[1.0, 0.9]),
            frequency_penalty: random.choose(&[0.0, 0.0, 0.5]),
            seed: random.next(),
            ..SamplingParams::greedy()
        },
        stop: StopConditions {
            max_tokens,
            min_tokens: random.range(0, max_tokens.min(4)),
            stop_token_ids,
        },
        priority: random.choose(&[0, 0, 0, 1, -1]),
        cache_salt: random.choose(&[&b""[..], b"", b"other"]).to_vec(),
        adapter: None,
        background,
        min_output_tokens: if !background && random.one_in(3) {
            random.range(0, max_tokens)
        } else {
            0
        },
        leaves_after: random.one_in(6).then(|| random.range(0, 5)),
    }
}

fn tokens(random: &mut Random, len: usize) -> Vec<TokenId> {
    (0..len).map(|_| token(random)).collect()
}

fn token(random: &mut Random) -> TokenId {
    TokenId(random.range(0, VOCAB_SIZE - 1) as u32)
}
