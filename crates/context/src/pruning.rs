//! Which tools to leave out of a prompt that does not fit.

/// A tool that may be left out: the conversation has never called it.
#[derive(Clone, Debug, PartialEq)]
pub struct IdleTool {
    /// Its name.
    pub name: Box<str>,
    /// Tokens of its definition.
    pub tokens: usize,
    /// How well it matches what the live turn says, 0 to 1.
    pub relevance: f64,
}

/// The tools to leave out so that `missing` tokens are free, by their numbers in `tools`, in order:
/// the least relevant first, of equals the longest, then by name. All of them if that is too few.
///
/// Nobody is left out whose place the others make without it.
pub fn tools_to_prune(tools: &[IdleTool], missing: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tools.len())
        .filter(|&at| tools[at].tokens > 0)
        .collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&tools[a], &tools[b]);
        let by_relevance = a.relevance.total_cmp(&b.relevance);
        let by_length = b.tokens.cmp(&a.tokens);
        by_relevance.then(by_length).then(a.name.cmp(&b.name))
    });
    let mut freed = 0;
    let mut chosen = Vec::new();
    for at in order {
        if freed >= missing {
            break;
        }
        freed += tools[at].tokens;
        chosen.push(at);
    }
    // The most relevant ones are the first to stay.
    for at in chosen.clone().into_iter().rev() {
        if freed - tools[at].tokens >= missing {
            freed -= tools[at].tokens;
            chosen.retain(|&other| other != at);
        }
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools() -> Vec<IdleTool> {
        let tools = [
            ("ls", 50, 0.0),
            ("grep", 120, 0.9),
            ("fetch", 300, 0.0),
            ("mail", 80, 0.2),
            ("none", 0, 0.0),
        ];
        let tools = tools.map(|(name, tokens, relevance)| IdleTool {
            name: name.into(),
            tokens,
            relevance,
        });
        tools.to_vec()
    }

    #[test]
    fn the_least_relevant_go_first() {
        let pruned = |missing| tools_to_prune(&tools(), missing);
        assert_eq!(pruned(0), [0_usize; 0]);
        // The longest of those that match nothing.
        assert_eq!(pruned(1), [2]);
        assert_eq!(pruned(301), [0, 2]);
        // With the third, the shortest is no longer needed: 300 + 80 are enough.
        assert_eq!(pruned(351), [2, 3]);
        assert_eq!(pruned(381), [0, 2, 3]);
        // Without `mail` there are still 470.
        assert_eq!(pruned(431), [0, 1, 2]);
        assert_eq!(pruned(10_000), [0, 1, 2, 3]);
    }
}
