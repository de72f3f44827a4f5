//! Where the stable prefix of a prompt could end.

use context::{ChainKey, Replay, SegmentChain};

use super::division::Division;
use super::state::Budgeter;

/// In tokens of the prompt.
#[derive(Clone, Copy, Default)]
pub(super) struct PrefixEnds {
    /// Behind what the client has marked.
    pub(super) marked: Option<usize>,
    /// Behind what enough conversations share.
    pub(super) shared: usize,
}

impl Division {
    /// Where the beginning ends that enough conversations share. What is edited already is not
    /// stable any more. Where the conversation is not noted, nothing of it is remembered.
    pub(super) fn shared_end(
        &self,
        chain: &SegmentChain,
        replay: &Replay,
        budgeter: &Budgeter,
        is_noted: bool,
    ) -> usize {
        let own = (0..self.segments.len()).filter(|&at| !self.inserted[at]);
        let own: Vec<usize> = own.collect();
        let keys: Vec<ChainKey> = own.iter().map(|&at| chain.keys()[at]).collect();
        let last = budgeter.shared_prefix(&keys, is_noted).checked_sub(1);
        let end = last.map_or(0, |last| self.segments[own[last]].end());
        let edited = replay.edits.first().map(|known| *known.segments.start());
        edited.map_or(end, |at| end.min(self.segments[at].start))
    }
}
