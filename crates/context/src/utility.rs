//! Whether texts were needed again after an edit had taken them away.
//!
//! A text is needed again when it is restored, or when the call that gave it is made again. What is
//! known of a tool says something of each of its results, and what is known of a text says more.

/// Events after which older ones count half: what a tool was used for changes.
const MEMORY: u32 = 64;

/// Events of its tool that count as much as what is known of a text itself.
const TOOL_EVENTS: f64 = 2.0;

/// Events that make half of what there is to know: one alone is hardly anything.
const HALF_KNOWN: f64 = 4.0;

/// How often texts were edited, and how often they were needed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UseCounts {
    edited: u32,
    needed: u32,
}

/// What the past says of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utility {
    /// Share of the edits after which such a text was needed again, 0 to 1.
    pub value: f64,
    /// How much that can be relied on, 0 (not at all) to 1.
    pub confidence: f64,
}

impl UseCounts {
    /// One more edit that took something away.
    pub fn count_edit(&mut self) {
        self.edited += 1;
        self.age();
    }

    /// It was needed once more.
    pub fn count_need(&mut self) {
        self.needed += 1;
        self.age();
    }

    fn age(&mut self) {
        if self.edited.max(self.needed) > MEMORY {
            self.edited /= 2;
            self.needed /= 2;
        }
    }

    /// Events that could have shown a need. A text may be needed several times after one edit, and
    /// after edits that were not counted.
    fn trials(self) -> f64 {
        f64::from(self.edited.max(self.needed))
    }
}

impl Utility {
    /// Of a text with a history of its own, and of its tool, which includes that; `None` if neither
    /// has one.
    pub fn of(tool: UseCounts, own: UseCounts) -> Option<Self> {
        let trials = tool.trials().max(own.trials());
        if trials == 0.0 {
            return None;
        }
        let (prior, events) = match tool.trials() {
            0.0 => (0.0, 0.0),
            trials => (f64::from(tool.needed) / trials, TOOL_EVENTS),
        };
        let value = (f64::from(own.needed) + events * prior) / (own.trials() + events);
        Some(Self {
            value,
            confidence: trials / (trials + HALF_KNOWN),
        })
    }
}

#[cfg(test)]
mod tests;
