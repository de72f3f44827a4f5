//! What the simulated runs have come across: a simulation that never preempts proves nothing about
//! preemption.

/// How often each thing of interest happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Occurrences {
    pub(super) finished: u64,
    pub(super) refused_as_too_long: u64,
    pub(super) refused_by_queue: u64,
    pub(super) left: u64,
    pub(super) failed_with_a_step: u64,
    pub(super) preemptions: u64,
    pub(super) guarantee_waits: u64,
    pub(super) abandoned: u64,
    pub(super) probed_tokens: u64,
    pub(super) recomputed_tokens: u64,
    pub(super) cached_tokens: u64,
    pub(super) copied_tokens: u64,
    pub(super) evictions: u64,
    pub(super) window_evictions: u64,
    pub(super) restored_tokens: u64,
    pub(super) unread_blocks: u64,
    pub(super) broken_constraints: u64,
    pub(super) constrained: u64,
    pub(super) adapted: u64,
    pub(super) lost_names: u64,
    pub(super) without_slot: u64,
    pub(super) steps_ahead: u64,
}

impl Occurrences {
    fn named(&mut self) -> [(&'static str, &mut u64); 22] {
        [
            ("finished", &mut self.finished),
            ("refused_as_too_long", &mut self.refused_as_too_long),
            ("refused_by_queue", &mut self.refused_by_queue),
            ("left", &mut self.left),
            ("failed_with_a_step", &mut self.failed_with_a_step),
            ("preemptions", &mut self.preemptions),
            ("guarantee_waits", &mut self.guarantee_waits),
            ("abandoned", &mut self.abandoned),
            ("probed_tokens", &mut self.probed_tokens),
            ("recomputed_tokens", &mut self.recomputed_tokens),
            ("cached_tokens", &mut self.cached_tokens),
            ("copied_tokens", &mut self.copied_tokens),
            ("evictions", &mut self.evictions),
            ("window_evictions", &mut self.window_evictions),
            ("restored_tokens", &mut self.restored_tokens),
            ("unread_blocks", &mut self.unread_blocks),
            ("broken_constraints", &mut self.broken_constraints),
            ("constrained", &mut self.constrained),
            ("adapted", &mut self.adapted),
            ("lost_names", &mut self.lost_names),
            ("without_slot", &mut self.without_slot),
            ("steps_ahead", &mut self.steps_ahead),
        ]
    }

    pub(super) fn add(&mut self, mut other: Self) {
        for ((_, sum), (_, count)) in self.named().into_iter().zip(other.named()) {
            *sum += *count;
        }
    }

    /// # Panics
    /// When something did not happen a hundred times.
    pub(super) fn assert_all_happened(mut self) {
        eprintln!("{self:?}");
        for (name, count) in self.named() {
            assert!(
                *count >= 100,
                "{name} happened {count} times: the scenarios do not reach it"
            );
        }
    }
}
