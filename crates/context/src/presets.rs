//! Profiles that need no configuration: those recommended, and tables from the literature.

mod tables;

use std::collections::BTreeMap;

use crate::{
    Bound, Low, Placement, RetrievalSettings, Settings, Symbol, ThinkingKeep, UtilizationSettings,
    Zone, ZoneSettings,
};

/// A named profile that the server has of its own; one of the configuration with the same name
/// comes before it.
///
/// The recommended ones have floors and caps and no percentages, since no split of a window is
/// right for every task. The tables are what articles on token budgeting print, there to begin with
/// and to compare with; their arithmetic is put right, and each says how its names are read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preset {
    /// Says nothing: the defaults documented at each field of [`Settings`].
    Default,
    /// For agents that call tools over many turns: every zone with a floor by what it is for,
    /// results of old calls cleared first, reasoning of past turns left out, and batches of edits
    /// as large as pays off.
    Agent,
    /// Shares of the budget as an article prints them: system 10-15 %, tools 15-20 %, retrieval
    /// 30-40 %, history 20-30 %, output 10-15 %.
    ///
    /// Floors are the lower ends, 85 % together; caps the upper ends, 120 % together, so they
    /// cannot all be reached. The middles would be 102.5 %; targets are chosen to make 100 %.
    /// History's share is divided evenly between history and tool outputs.
    WireReference,
    /// An allowance by zone for a window of 128,000 tokens, as a course prints it: system 2,000,
    /// tools 8,000, examples 3,000, retrieval 15,000, conversation 10,000, memory 2,000, output
    /// 8,000, margin 30,000.
    ///
    /// The course counts its margin as used and calls the sum "under 60 %": 78,000 tokens are
    /// 60.9 %. The margin is what stays unused, so 48,000 are used, 37.5 %. Here the high mark
    /// keeps the margin free, and tool outputs and the live turn share what the table leaves.
    Course128k,
    /// A fixed split of 8,000 tokens: system 500, live turn ("immediate context") 2,000, history
    /// 1,500, retrieval ("domain knowledge") 1,000, tool outputs ("working memory") 2,000, output
    /// 1,000.
    ///
    /// The numbers are caps and add up to the budget, so no zone can take another's part; the
    /// output's is a floor, too. They are no floors for the zones: tokens of the template and of
    /// tool definitions, which the table forgets, come off the zones of the lowest priority.
    Fixed8k,
    /// Minima, maxima and priorities: system 100-500, live turn ("task context") 200-2,000,
    /// history 100-1,500, retrieval ("domain knowledge") 0-1,000, examples 0-800.
    ///
    /// What a zone has counts from its first token on, not on top of its minimum, and minima that
    /// do not fit are refused; the code printed with the table does neither. Memory and tool
    /// outputs, which it forgets, come last.
    Hierarchical,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 6] = [
        Self::Default,
        Self::Agent,
        Self::WireReference,
        Self::Course128k,
        Self::Fixed8k,
        Self::Hierarchical,
    ];

    /// Its name, as `profile` of a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Agent => "agent",
            Self::WireReference => "wire_reference",
            Self::Course128k => "course_128k",
            Self::Fixed8k => "fixed_8k",
            Self::Hierarchical => "hierarchical",
        }
    }

    /// The preset of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// What it says, to put a request over.
    pub fn settings(self) -> Settings {
        match self {
            Self::Default => Settings::default(),
            Self::Agent => agent(),
            Self::WireReference => tables::wire_reference(),
            Self::Course128k => tables::course_128k(),
            Self::Fixed8k => tables::fixed_8k(),
            Self::Hierarchical => tables::hierarchical(),
        }
    }
}

fn agent() -> Settings {
    let floor = |symbol: Symbol| ZoneSettings {
        min: Some(Bound::Symbol(symbol)),
        ..ZoneSettings::default()
    };
    let cap = |tokens: usize| ZoneSettings {
        max: Some(Bound::Tokens(tokens)),
        ..ZoneSettings::default()
    };
    let retrieval = ZoneSettings {
        max: Some(Bound::Symbol(Symbol::RankedCap)),
        ..floor(Symbol::EvidenceFloor)
    };
    Settings {
        utilization: UtilizationSettings {
            low: Some(Low::Auto),
            ..UtilizationSettings::default()
        },
        zones: BTreeMap::from([
            (Zone::System, floor(Symbol::Fixed)),
            (Zone::ToolSchemas, floor(Symbol::Fixed)),
            (Zone::LiveTurn, floor(Symbol::Fixed)),
            (Zone::History, floor(Symbol::RecentTurnsPlusSummary)),
            (Zone::Retrieval, retrieval),
            (Zone::ToolOutputs, floor(Symbol::LatestRequiredObservations)),
            (Zone::Memory, cap(2000)),
            (Zone::Examples, cap(3000)),
        ]),
        thinking: Some(ThinkingKeep::Turns(1)),
        retrieval: RetrievalSettings {
            placement: Some(Placement::Auto),
            ..RetrievalSettings::default()
        },
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests;
