use super::{Deficit, Suggestion, ToolUse, suggestions};

fn deficit(budget: usize, required: usize) -> Deficit {
    Deficit {
        budget,
        required,
        window: 131_072,
        tools: Vec::new(),
        splittable: 0,
    }
}

fn tool(name: &str, tokens: usize, called: bool) -> ToolUse {
    ToolUse {
        name: name.into(),
        tokens,
        called,
    }
}

fn deferred(required: usize, tools: Vec<ToolUse>) -> Option<(Vec<String>, usize)> {
    let deficit = Deficit {
        tools,
        ..deficit(10_000, required)
    };
    suggestions(&deficit).into_iter().find_map(|one| match one {
        Suggestion::DeferTools { tools, frees } => {
            Some((tools.iter().map(ToString::to_string).collect(), frees))
        }
        Suggestion::RaiseBudget { .. } | Suggestion::Split { .. } => None,
    })
}

#[test]
fn a_budget_is_raised_in_whole_steps() {
    assert_eq!(
        suggestions(&deficit(32_768, 35_210)),
        [Suggestion::RaiseBudget { to: 35_840 }]
    );
}

#[test]
fn no_budget_above_the_window_is_suggested() {
    let to = |required, window| {
        suggestions(&Deficit {
            window,
            ..deficit(4096, required)
        })
    };
    assert_eq!(to(4500, 5000), [Suggestion::RaiseBudget { to: 5000 }]);
    assert_eq!(to(5001, 5000), []);
}

#[test]
fn nothing_is_suggested_when_nothing_is_missing() {
    assert_eq!(suggestions(&deficit(4096, 4096)), []);
}

#[test]
fn the_fewest_tools_are_deferred() {
    let tools = || {
        vec![
            tool("ls", 100, false),
            tool("grep", 900, false),
            tool("edit", 2000, true),
            tool("browser", 1500, false),
        ]
    };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        deferred(10_800, tools()),
        Some((names(&["grep"]), 900)),
        "the shortest that does"
    );
    assert_eq!(
        deferred(11_550, tools()),
        Some((names(&["browser", "ls"]), 1600)),
    );
    assert_eq!(
        deferred(15_000, tools()),
        Some((names(&["browser", "grep", "ls"]), 2500)),
        "not enough, but what there is; the tool that was called stays"
    );
    assert_eq!(deferred(10_800, vec![tool("edit", 2000, true)]), None);
}

#[test]
fn work_is_split_into_chunks_that_fit_beside_the_rest() {
    let chunks = |budget, required, splittable| {
        let deficit = Deficit {
            splittable,
            window: budget,
            ..deficit(budget, required)
        };
        suggestions(&deficit)
    };
    // 4,000 of 21,000 tokens stay in every chunk, which leaves 6,000 for a part of 17,000.
    assert_eq!(
        chunks(10_000, 21_000, 17_000),
        [Suggestion::Split { chunks: 3 }]
    );
    assert_eq!(
        chunks(10_000, 21_000, 11_000),
        [],
        "no room beside the rest"
    );
    assert_eq!(chunks(10_000, 21_000, 0), []);
}
