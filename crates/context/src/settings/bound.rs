//! Numbers of tokens as they are written: plain, as a share, or by what they are for.

/// A number of tokens, plain or as a share of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Written as a whole number, or as `{"tokens": n}`.
    Tokens(usize),
    /// Written as `{"fraction": x}`, or as a number with a fraction; 0 to 1.
    Share(f64),
}

/// A bound of a zone or of the output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// A number of tokens.
    Tokens(usize),
    /// A share of B, 0 to 1; rounded down to whole tokens.
    Share(f64),
    /// What is in the prompt decides.
    Symbol(Symbol),
}

/// A bound by what it is for; its tokens are counted in the prompt at hand.
///
/// A symbol yields: as a floor it is lowered to what the zone's own numbers allow, and let go where
/// a request would not fit with it, in zones of a low priority first. A floor that is a number
/// holds, or the request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Symbol {
    /// What the zone has. For any zone.
    Fixed,
    /// What the zone has before the end of the stable prefix. For any zone.
    Committed,
    /// The latest `keep_raw_turns` turns, and the longest summary of those before if there are
    /// any. For `history`.
    RecentTurnsPlusSummary,
    /// The best document. For `retrieval`.
    EvidenceFloor,
    /// All documents that reach `min_score`; those without a score do. For `retrieval`.
    RankedCap,
    /// The output that the request asks for, else the smaller of 512 tokens and B/8. For
    /// `output_buffer`.
    AnswerFloor,
    /// The latest `keep` tool results and those of excluded tools. For `tool_outputs`.
    LatestRequiredObservations,
}

impl Bound {
    /// Its tokens in a budget of `budget`; `None` if the prompt decides.
    pub fn tokens(self, budget: usize) -> Option<usize> {
        match self {
            Self::Tokens(tokens) => Some(tokens),
            Self::Share(share) => Some(share_of(share, budget)),
            Self::Symbol(_) => None,
        }
    }
}

impl Symbol {
    /// All symbols.
    pub const ALL: [Self; 7] = [
        Self::Fixed,
        Self::Committed,
        Self::RecentTurnsPlusSummary,
        Self::EvidenceFloor,
        Self::RankedCap,
        Self::AnswerFloor,
        Self::LatestRequiredObservations,
    ];

    /// Its name in requests and profiles.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Committed => "committed",
            Self::RecentTurnsPlusSummary => "recent_turns_plus_summary",
            Self::EvidenceFloor => "evidence_floor",
            Self::RankedCap => "ranked_cap",
            Self::AnswerFloor => "answer_floor",
            Self::LatestRequiredObservations => "latest_required_observations",
        }
    }

    /// The symbol of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|symbol| symbol.name() == name)
    }
}

/// `share` of so many tokens, rounded down. Shares count to a billionth, so that 0.29 of 100 is 29
/// although the nearest floating-point number is less.
pub(crate) fn share_of(share: f64, tokens: usize) -> usize {
    const WHOLE: u128 = 1_000_000_000;
    let parts = (share.clamp(0.0, 1.0) * WHOLE as f64).round() as u128;
    (tokens as u128 * parts / WHOLE) as usize
}

#[cfg(test)]
mod tests {
    use super::share_of;

    #[test]
    fn shares_are_exact_where_floating_point_numbers_are_not() {
        for hundredths in 0..=100 {
            assert_eq!(
                share_of(f64::from(hundredths) / 100.0, 100),
                hundredths as usize
            );
        }
        assert_eq!(share_of(0.6, 9), 5);
        assert_eq!(share_of(1.0, usize::MAX), usize::MAX);
        assert_eq!(share_of(1.0 / 3.0, 3_000_000), 999_999);
    }
}
