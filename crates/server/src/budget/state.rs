//! What outlives a request: edits of earlier ones, profiles, counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use context::{
    ChainKey, EditLedger, LedgerCounters, LedgerScope, Mode, Preset, SegmentChain, Settings,
};

use super::answer_scores::AnswerScores;
use super::originals::Originals;
use super::pruned_tools::{Names, PrunedTools};
use super::shared_prefixes::SharedPrefixes;
use super::told_plans::{Limits, ToldPlans};
use super::uses::Uses;
use crate::config::serve::ContextConfig;
use crate::wire::error::ApiError;

/// Raised when edits of earlier versions must not be repeated.
const POLICY_MAJOR: u64 = 1;

/// Most bytes of [`Originals`].
const ORIGINALS_BYTES: usize = 64 << 20;

/// Most bytes of [`AnswerScores`]: two million tokens.
const ANSWER_SCORES_BYTES: usize = 16 << 20;

/// Shared by all requests.
pub struct Budgeter {
    mode: Mode,
    profile: String,
    profiles: BTreeMap<String, Settings>,
    ledger: Arc<Mutex<EditLedger>>,
    told_plans: Mutex<ToldPlans>,
    prefixes: Mutex<SharedPrefixes>,
    originals: Mutex<Originals>,
    uses: Mutex<Uses>,
    pruned_tools: Mutex<PrunedTools>,
    answer_scores: Arc<Mutex<AnswerScores>>,
    fingerprint: Vec<u8>,
}

impl Budgeter {
    /// An empty ledger, and the profiles of `config`. `fingerprint` is that of the model, its
    /// tokenizer and its chat template: edits are repeated only where it is the same.
    pub fn new(config: ContextConfig, fingerprint: Vec<u8>) -> Self {
        Self {
            mode: config.mode,
            profile: config.profile,
            profiles: config.profiles,
            ledger: Arc::new(Mutex::new(EditLedger::new(config.ledger_bytes))),
            told_plans: Mutex::new(ToldPlans::new(Limits::default())),
            prefixes: Mutex::new(SharedPrefixes::default()),
            originals: Mutex::new(Originals::new(ORIGINALS_BYTES)),
            uses: Mutex::new(Uses::default()),
            pruned_tools: Mutex::default(),
            answer_scores: Arc::new(Mutex::new(AnswerScores::new(ANSWER_SCORES_BYTES))),
            fingerprint,
        }
    }

    /// What is done with requests that do not say.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The name and the settings of a profile, or of the default one.
    ///
    /// # Errors
    /// When there is no profile of that name.
    pub fn profile(&self, name: Option<&str>) -> Result<(String, Settings), ApiError> {
        let name = name.unwrap_or(&self.profile);
        let known = self.profiles.get(name).cloned();
        let preset = || Preset::from_name(name).map(Preset::settings);
        match known.or_else(preset) {
            Some(settings) => Ok((name.to_owned(), settings)),
            None => {
                let names = self.profile_names().join(", ");
                let message = format!(
                    "`context_budget.profile`: there is no profile `{name}`; there are {names}."
                );
                Err(ApiError::field("context_budget.profile", message))
            }
        }
    }

    /// The profile of requests that name none.
    pub fn default_profile(&self) -> &str {
        &self.profile
    }

    /// Whether the configuration has a profile of that name.
    pub fn is_configured(&self, name: &str) -> bool {
        self.profiles.contains_key(name)
    }

    /// Names of all profiles, presets included.
    pub fn profile_names(&self) -> Vec<String> {
        let presets = Preset::ALL.into_iter().map(Preset::name);
        let mut names: Vec<String> = presets
            .map(str::to_owned)
            .chain(self.profiles.keys().cloned())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The edits of earlier requests.
    pub fn ledger(&self) -> MutexGuard<'_, EditLedger> {
        lock(&self.ledger)
    }

    /// Reads the ledger's counts, as long as anybody wants to.
    pub fn ledger_counters(&self) -> Box<dyn Fn() -> LedgerCounters + Send + Sync> {
        let ledger = Arc::clone(&self.ledger);
        Box::new(move || lock(&ledger).counters())
    }

    /// The plans that clients were told of.
    pub fn told_plans(&self) -> MutexGuard<'_, ToldPlans> {
        // Every change is whole before anything can panic.
        self.told_plans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of a conversation's beginnings in the ledger, from the digests of its segments and
    /// whether they are no part of its history.
    pub fn chain<'a>(
        &self,
        tenant_salt: &[u8],
        digests: impl IntoIterator<Item = (&'a [u8; 32], bool)>,
    ) -> SegmentChain {
        let scope = LedgerScope {
            tenant_salt,
            policy_major: POLICY_MAJOR,
            fingerprint: &self.fingerprint,
        };
        let mut chain = SegmentChain::new(&scope);
        for (digest, is_aside) in digests {
            if is_aside {
                chain.push_aside(digest);
            } else {
                chain.push(digest);
            }
        }
        chain
    }

    /// How many of a conversation's first segments enough conversations share, by the names of its
    /// beginnings; takes note of it as one of them if `is_noted`.
    pub(super) fn shared_prefix(&self, keys: &[ChainKey], is_noted: bool) -> usize {
        // A panic in between leaves counts that are whole.
        let prefixes = self.prefixes.lock();
        let mut prefixes = prefixes.unwrap_or_else(PoisonError::into_inner);
        if is_noted {
            prefixes.see(keys)
        } else {
            prefixes.shared(keys)
        }
    }

    /// Texts that were needed again after edits.
    pub fn uses(&self) -> MutexGuard<'_, Uses> {
        // Every change is whole before anything can panic.
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tools that a conversation goes on without.
    pub(super) fn pruned_tools(&self, conversation: &ChainKey) -> Names {
        // Every change is whole before anything can panic.
        let pruned = self.pruned_tools.lock();
        let mut pruned = pruned.unwrap_or_else(PoisonError::into_inner);
        pruned.of(conversation)
    }

    /// Remembers the tools that a conversation goes on without.
    pub(super) fn remember_pruned_tools(&self, conversation: ChainKey, names: Names) {
        let pruned = self.pruned_tools.lock();
        let mut pruned = pruned.unwrap_or_else(PoisonError::into_inner);
        pruned.remember(conversation, names);
    }

    /// Texts that edits have taken away and that no prompt names.
    pub fn originals(&self) -> MutexGuard<'_, Originals> {
        // Every change is whole before anything can panic.
        let originals = self.originals.lock();
        originals.unwrap_or_else(PoisonError::into_inner)
    }

    /// How likely answers were when they were given; shared with those that are being given.
    pub(super) fn answer_scores(&self) -> Arc<Mutex<AnswerScores>> {
        Arc::clone(&self.answer_scores)
    }
}

fn lock(ledger: &Mutex<EditLedger>) -> MutexGuard<'_, EditLedger> {
    // A panic in between leaves entries that are whole: at worst one too few.
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
