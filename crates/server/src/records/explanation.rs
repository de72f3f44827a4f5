//! Why the cached prefix of a prompt ended where it did.

use std::sync::Arc;
use std::time::Duration;

use engine::{Eviction, MissCause, RequestId};
use text::Tokenizer;

use super::record::{Progress, Record};
use super::store::RecordStore;

/// Tokens that are shown before and after the one in question.
const CONTEXT_TOKENS: usize = 16;

/// Why no more of a prompt was cached.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Why.
    pub reason: Reason,
    /// Index of the first block that was not found whole.
    pub block: usize,
    /// Index of the first token that was not found.
    pub token: usize,
    /// That token.
    pub here: Option<Passage>,
    /// The earlier request that shares most with this one, and where they part.
    pub divergence: Option<Divergence>,
    /// How long before its admission the block was evicted.
    pub evicted_ago: Option<Duration>,
    /// Whether it had been retained.
    pub was_retained: bool,
    /// The request that was given its memory, if it is the same client's.
    pub evicted_for: Option<String>,
}

/// Why a block was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody has computed these tokens after this prefix.
    NeverSeen,
    /// It was cached, and its memory has been given away.
    Evicted,
    /// The client has used the same tokens under another salt.
    OtherSalt,
    /// An earlier answer came back as other tokens than the model wrote: the template renders it
    /// otherwise, or the client has changed it.
    TemplateDrift,
    /// It ends inside a block that others have not left, or caching is off.
    NotCacheable,
}

impl Reason {
    /// As the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NeverSeen => "never_seen",
            Self::Evicted => "evicted",
            Self::OtherSalt => "other_salt",
            Self::TemplateDrift => "template_drift",
            Self::NotCacheable => "not_cacheable",
        }
    }
}

/// Where two requests part.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// The earlier one.
    pub id: String,
    /// Tokens that both begin with.
    pub shared_tokens: usize,
    /// The first other token of this request; `None` if it ends there.
    pub here: Option<Passage>,
    /// The first other token of the earlier one; `None` if it ended there.
    pub there: Option<Passage>,
}

/// A token among its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Its id.
    pub token_id: u32,
    /// Its text.
    pub text: String,
    /// Text of the tokens before it.
    pub before: String,
    /// Text of the tokens after it.
    pub after: String,
}

impl Passage {
    /// The token at `at`; `None` behind the end.
    pub fn of(tokenizer: &Tokenizer, tokens: &[u32], at: usize) -> Option<Self> {
        let &token_id = tokens.get(at)?;
        let text = |tokens: &[u32]| {
            let bytes: Vec<u8> = tokens
                .iter()
                .flat_map(|&token| tokenizer.token_bytes(token))
                .collect();
            // A character that the cut goes through is shown as what it is: broken.
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let end = tokens.len().min(at + 1 + CONTEXT_TOKENS);
        Some(Self {
            token_id,
            text: text(&tokens[at..=at]),
            before: text(&tokens[at.saturating_sub(CONTEXT_TOKENS)..at]),
            after: text(&tokens[at + 1..end]),
        })
    }
}

impl Explanation {
    /// Explains a record's miss; `None` when all but the last token was cached, or nothing is known
    /// yet.
    pub fn of(record: &Record, store: &RecordStore, tokenizer: &Tokenizer) -> Option<Self> {
        let progress = record.progress();
        let miss = progress.miss?;
        let tokens = progress.tokens.clone().unwrap_or_else(|| Arc::from([]));
        let prompt = &tokens[..record.prompt_tokens.min(tokens.len())];
        let nearest = Nearest::find(prompt, &store.before(record), store.generation_prompt());
        let reason = reason(record, &progress, prompt, nearest.as_ref(), store);
        let eviction = match miss.cause {
            MissCause::Evicted(eviction) => Some(eviction),
            _ => None,
        };
        Some(Self {
            reason,
            block: miss.block,
            token: miss.token,
            here: Passage::of(tokenizer, prompt, miss.token),
            divergence: nearest.map(|nearest| nearest.divergence(tokenizer, prompt)),
            evicted_ago: progress.evicted_ago,
            was_retained: eviction.is_some_and(|eviction| eviction.was_retained),
            evicted_for: eviction.and_then(|eviction| taker(record, &eviction, store)),
        })
    }

    /// In a sentence.
    pub fn sentence(&self) -> String {
        let from = self.divergence.as_ref();
        match (self.reason, from) {
            (Reason::Evicted, _) => {
                let ago = self.evicted_ago.map_or(String::new(), |ago| {
                    format!(" {:.1} s before this request ran", ago.as_secs_f64())
                });
                let kind = if self.was_retained { "retained " } else { "" };
                let whom = match &self.evicted_for {
                    Some(id) => format!("request {id}"),
                    None => "another request".to_owned(),
                };
                format!("The {kind}block was cached, and evicted{ago} to make room for {whom}.")
            }
            (Reason::TemplateDrift, Some(from)) => format!(
                "The answer of request {} came back as other tokens, from token {} on: the chat \
                 template renders it otherwise, or the client has changed it.",
                from.id, from.shared_tokens
            ),
            (Reason::OtherSalt, _) => {
                "The same tokens were asked for under another cache_salt or adapter.".to_owned()
            }
            (Reason::NotCacheable, _) => {
                "The prompt ends inside a block that no other request has left as far, or prefix \
                 caching is off."
                    .to_owned()
            }
            (_, Some(from)) => match (&from.here, &from.there) {
                (Some(here), Some(there)) => format!(
                    "Token {} is {:?} here and was {:?} in request {}.",
                    from.shared_tokens, here.text, there.text, from.id
                ),
                (_, None) => format!(
                    "Everything up to token {} was seen in request {}, which ended there; the rest \
                     is new.",
                    from.shared_tokens, from.id
                ),
                (None, Some(_)) => format!(
                    "The prompt is the beginning of request {}, whose blocks are not cached.",
                    from.id
                ),
            },
            (_, None) => "No recent request begins with the same tokens.".to_owned(),
        }
    }
}

/// Where two lists of tokens part: the tokens that both begin with, and the first other ones.
pub fn explain_pair(
    tokenizer: &Tokenizer,
    a: &[u32],
    b: &[u32],
) -> (usize, Option<Passage>, Option<Passage>) {
    let shared = shared_prefix(a, b);
    let passage = |tokens| Passage::of(tokenizer, tokens, shared);
    (shared, passage(a), passage(b))
}

/// The earlier request that shares most.
struct Nearest {
    record: Arc<Record>,
    tokens: Arc<[u32]>,
    shared: usize,
}

impl Nearest {
    /// Among several that share as much, the first given; but rather one whose answer came back
    /// changed, which is why the others part from the prompt there, too.
    fn find(prompt: &[u32], candidates: &[Arc<Record>], generation_prompt: usize) -> Option<Self> {
        let mut best: Option<Self> = None;
        for record in candidates {
            let Some(tokens) = record.tokens() else {
                continue;
            };
            let next = Self {
                shared: shared_prefix(prompt, &tokens),
                record: Arc::clone(record),
                tokens,
            };
            let rank =
                |nearest: &Self| (nearest.shared, nearest.parts_in_answer(generation_prompt));
            if next.shared > 0 && best.as_ref().is_none_or(|best| rank(&next) > rank(best)) {
                best = Some(next);
            }
        }
        best
    }

    fn divergence(&self, tokenizer: &Tokenizer, prompt: &[u32]) -> Divergence {
        Divergence {
            id: self.record.origin.id.clone(),
            shared_tokens: self.shared,
            here: Passage::of(tokenizer, prompt, self.shared),
            there: Passage::of(tokenizer, &self.tokens, self.shared),
        }
    }

    /// Whether the two part in what the model wrote, the beginning of the answer included that the
    /// template writes for it.
    fn parts_in_answer(&self, generation_prompt: usize) -> bool {
        let answer = self.record.prompt_tokens.saturating_sub(generation_prompt);
        let is_chat = self.record.origin.endpoint.contains("chat");
        is_chat && (answer..self.tokens.len()).contains(&self.shared)
    }
}

fn reason(
    record: &Record,
    progress: &Progress,
    prompt: &[u32],
    nearest: Option<&Nearest>,
    store: &RecordStore,
) -> Reason {
    let Some(miss) = progress.miss else {
        return Reason::NotCacheable;
    };
    let shared = nearest.map_or(0, |nearest| nearest.shared);
    let drifted = nearest.is_some_and(|nearest| {
        nearest.shared < prompt.len() && nearest.parts_in_answer(store.generation_prompt())
    });
    match miss.cause {
        MissCause::Evicted(_) => Reason::Evicted,
        // A token has to differ: what two requests share can be found only if it was left.
        _ if drifted => Reason::TemplateDrift,
        MissCause::OtherSalt if has_other_salt(record, prompt, store) => Reason::OtherSalt,
        MissCause::NotCacheable if shared > miss.token + 1 => Reason::NotCacheable,
        MissCause::NotCacheable | MissCause::OtherSalt | MissCause::NeverSeen => Reason::NeverSeen,
    }
}

/// Whether the client itself has asked for the same beginning under another salt; what others have
/// asked is not told.
fn has_other_salt(record: &Record, prompt: &[u32], store: &RecordStore) -> bool {
    let others = store.latest(record.origin.tenant, usize::MAX);
    others.iter().any(|other| {
        let is_elsewhere =
            other.ordinal < record.ordinal && other.origin.salt != record.origin.salt;
        let tokens = other.tokens().filter(|_| is_elsewhere);
        tokens.is_some_and(|tokens| shared_prefix(prompt, &tokens) >= store.block_size())
    })
}

/// The request that was given the memory, if the same client asked for it.
fn taker(record: &Record, eviction: &Eviction, store: &RecordStore) -> Option<String> {
    let taker = store.of_engine(RequestId(eviction.holder))?;
    (taker.origin.tenant == record.origin.tenant).then(|| taker.origin.id.clone())
}

fn shared_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;
