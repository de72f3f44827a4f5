//! What a client could do about a request that does not fit.

/// A step that the client could take. Several may be needed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suggestion {
    /// `raise_budget`: ask for more, which the window would allow.
    RaiseBudget {
        /// Tokens that would do, rounded up as far as the window goes.
        to: usize,
    },
    /// `defer_tools`: leave out tools that the conversation has not called.
    DeferTools {
        /// Their names, the longest first; no more of them than needed.
        tools: Vec<Box<str>>,
        /// Tokens that this frees; fewer than are missing if no choice of tools is enough.
        frees: usize,
    },
    /// `split`: send what can be split in so many requests.
    Split {
        /// How many; at least 2.
        chunks: usize,
    },
}

/// What is missing, and what there is to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deficit {
    /// The budget.
    pub budget: usize,
    /// Tokens that the request needs at least.
    pub required: usize,
    /// The most that the budget could be.
    pub window: usize,
    /// The tools that the request declares.
    pub tools: Vec<ToolUse>,
    /// Tokens of what could be sent in parts: the live turn's text.
    pub splittable: usize,
}

/// A declared tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolUse {
    /// Its name.
    pub name: Box<str>,
    /// Tokens of its definition.
    pub tokens: usize,
    /// Whether the conversation has called it, or the request demands that it be called.
    pub called: bool,
}

/// Budgets are suggested in whole steps of so many tokens.
const BUDGET_STEP: usize = 1024;

impl Suggestion {
    /// Its name in errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RaiseBudget { .. } => "raise_budget",
            Self::DeferTools { .. } => "defer_tools",
            Self::Split { .. } => "split",
        }
    }
}

/// What could be done about a deficit, least intrusive first; empty if nothing is missing or
/// nothing would help.
pub fn suggestions(deficit: &Deficit) -> Vec<Suggestion> {
    if deficit.required <= deficit.budget {
        return Vec::new();
    }
    [raise_budget(deficit), defer_tools(deficit), split(deficit)]
        .into_iter()
        .flatten()
        .collect()
}

fn raise_budget(deficit: &Deficit) -> Option<Suggestion> {
    let to = deficit
        .required
        .checked_next_multiple_of(BUDGET_STEP)?
        .min(deficit.window);
    (to >= deficit.required).then_some(Suggestion::RaiseBudget { to })
}

/// The fewest tools that free enough: the longest ones, but the shortest that does for the last.
fn defer_tools(deficit: &Deficit) -> Option<Suggestion> {
    let missing = deficit.required - deficit.budget;
    let mut idle: Vec<&ToolUse> = deficit
        .tools
        .iter()
        .filter(|tool| !tool.called && tool.tokens > 0)
        .collect();
    idle.sort_by(|a, b| b.tokens.cmp(&a.tokens).then(a.name.cmp(&b.name)));
    let mut chosen = Vec::new();
    let mut frees = 0;
    for (at, &tool) in idle.iter().enumerate() {
        let left = missing - frees;
        if tool.tokens >= left {
            let shortest = idle[at..]
                .iter()
                .rfind(|tool| tool.tokens >= left)
                .copied()
                .unwrap_or(tool);
            chosen.push(shortest.name.clone());
            frees += shortest.tokens;
            break;
        }
        chosen.push(tool.name.clone());
        frees += tool.tokens;
    }
    (!chosen.is_empty()).then_some(Suggestion::DeferTools {
        tools: chosen,
        frees,
    })
}

fn split(deficit: &Deficit) -> Option<Suggestion> {
    let fixed = deficit.required.saturating_sub(deficit.splittable);
    let room = deficit.budget.checked_sub(fixed).filter(|&room| room > 0)?;
    let chunks = deficit.splittable.div_ceil(room);
    (chunks >= 2).then_some(Suggestion::Split { chunks })
}

#[cfg(test)]
mod tests;
