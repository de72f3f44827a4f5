//! What is asked for a zone, and for the output.

use super::{Bound, Symbol};
use crate::{Tier, Zone};

/// What is asked for one zone.
///
/// | zone | tier | priority | min |
/// |---|---|---|---|
/// | `system` | protected | 1 | `fixed` |
/// | `tool_schemas` | mostly_protected | 1 | `fixed` |
/// | `live_turn` | protected | 1 | `fixed` |
/// | `history` | compactable | 2 | `recent_turns_plus_summary` |
/// | `retrieval` | compactable | 3 | `evidence_floor` |
/// | `memory` | offloadable | 4 | 0 |
/// | `tool_outputs` | clearable | 5 | `latest_required_observations` |
/// | `examples` | compactable | 6 | 0 |
/// | the client's own | compactable | 6 | 0 |
///
/// are the defaults; `max` is B for every zone, but `ranked_cap` for `retrieval`, and `target` is
/// `max`. A zone of the client's own is declared by giving it a tier or a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ZoneSettings {
    /// What may be done to its text. Protected and mostly protected zones get what they have.
    pub tier: Option<Tier>,
    /// Kept whatever happens, as far as there is text.
    pub min: Option<Bound>,
    /// Aimed at while there is room.
    pub target: Option<Bound>,
    /// Never exceeded.
    pub max: Option<Bound>,
    /// 1 is served first; zones of the same priority share in proportion to what they lack.
    pub priority: Option<u32>,
    /// `hints.useful_tokens.<name>`: tokens beyond which more are of no use. Default: no limit.
    pub useful: Option<usize>,
}

/// What is asked for the output (`zones.output_buffer`).
///
/// A request that says how many tokens it wants (`max_tokens`) never uses more: no bound goes
/// beyond it, and a `max` below it is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OutputSettings {
    /// Kept whatever happens: a request is not admitted without. Default: `answer_floor`.
    pub min: Option<Bound>,
    /// Aimed at, before any zone gets more than its floor. Default: what the request asks for,
    /// else the smaller of 1,024 tokens and B/4.
    pub target: Option<Bound>,
    /// Never exceeded. Default: what the request asks for, else B.
    pub max: Option<Bound>,
}

impl ZoneSettings {
    /// Whether a zone of the client's own is declared by this: by a tier or a bound.
    pub fn declares(&self) -> bool {
        let bounds = [self.min, self.target, self.max];
        self.tier.is_some() || bounds.iter().any(Option::is_some)
    }

    /// What holds for a zone about which nothing is said: the table above.
    pub fn defaults(zone: &Zone) -> Self {
        let (tier, priority, min) = match zone {
            Zone::System => (Tier::Protected, 1, Some(Symbol::Fixed)),
            Zone::ToolSchemas => (Tier::MostlyProtected, 1, Some(Symbol::Fixed)),
            Zone::LiveTurn => (Tier::Protected, 1, Some(Symbol::Fixed)),
            Zone::History => (Tier::Compactable, 2, Some(Symbol::RecentTurnsPlusSummary)),
            Zone::Retrieval => (Tier::Compactable, 3, Some(Symbol::EvidenceFloor)),
            Zone::Memory => (Tier::Offloadable, 4, None),
            Zone::ToolOutputs => {
                let latest = Symbol::LatestRequiredObservations;
                (Tier::Clearable, 5, Some(latest))
            }
            Zone::Examples | Zone::Custom(_) => (Tier::Compactable, 6, None),
        };
        let max = (*zone == Zone::Retrieval).then_some(Bound::Symbol(Symbol::RankedCap));
        Self {
            tier: Some(tier),
            min: min.map(Bound::Symbol),
            max,
            priority: Some(priority),
            ..Self::default()
        }
    }

    /// These settings where they say something, `base` elsewhere.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            tier: self.tier.or(base.tier),
            min: self.min.or(base.min),
            target: self.target.or(base.target),
            max: self.max.or(base.max),
            priority: self.priority.or(base.priority),
            useful: self.useful.or(base.useful),
        }
    }
}

impl OutputSettings {
    /// These settings where they say something, `base` elsewhere.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            min: self.min.or(base.min),
            target: self.target.or(base.target),
            max: self.max.or(base.max),
        }
    }
}
