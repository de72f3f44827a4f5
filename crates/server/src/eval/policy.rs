//! The ways to make a history fit.

use serde::Serialize;

/// What is done with a history that is longer than its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Policy {
    /// Nothing: the upper bound, without a budget
    Full,
    /// Only the sentences that state the facts: what the model can do at all, without a budget
    Oracle,
    /// The first tokens and the last message
    HeadCut,
    /// The last tokens
    TailCut,
    /// The system message and as many of the last messages as fit
    LastN,
    /// LangChain's `trim_messages`, from the file of --trimmed
    LangchainTrim,
    /// The server's `context_budget`
    Ours,
    /// The same, choosing edits as if nothing were cached
    OursNocache,
    /// The same, forgetting its edits between requests
    OursNoledger,
}

/// Who applies a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AppliedBy {
    /// This program, which sends less.
    Client,
    /// The server, which is sent everything; with what it leaves out of its work.
    Server(Option<&'static str>),
}

impl Policy {
    /// In the order of the tables.
    pub const ALL: [Self; 9] = [
        Self::Full,
        Self::Oracle,
        Self::HeadCut,
        Self::TailCut,
        Self::LastN,
        Self::LangchainTrim,
        Self::Ours,
        Self::OursNocache,
        Self::OursNoledger,
    ];

    /// As on the command line and in the results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Oracle => "oracle",
            Self::HeadCut => "head_cut",
            Self::TailCut => "tail_cut",
            Self::LastN => "last_n",
            Self::LangchainTrim => "langchain_trim",
            Self::Ours => "ours",
            Self::OursNocache => "ours_nocache",
            Self::OursNoledger => "ours_noledger",
        }
    }

    /// Whether it depends on a budget at all.
    pub(super) fn has_budget(self) -> bool {
        !matches!(self, Self::Full | Self::Oracle)
    }

    pub(super) fn applied_by(self) -> AppliedBy {
        match self {
            Self::Ours => AppliedBy::Server(None),
            Self::OursNocache => AppliedBy::Server(Some("cache")),
            Self::OursNoledger => AppliedBy::Server(Some("ledger")),
            _ => AppliedBy::Client,
        }
    }
}
