use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::{Allocation, Demand, Shortfall, ToolDemand, allocate};
use crate::{Bounds, Low, Tier, Utilization, Zone, ZoneRule};

const MARKS: Utilization = Utilization {
    soft: 0.6,
    high: 0.85,
    low: Low::Share(0.55),
};

fn bounds(min: usize, target: usize, max: usize) -> Bounds {
    Bounds { min, target, max }
}

fn rule(name: &str, tier: Tier, priority: u32, bounds: Bounds) -> ZoneRule {
    ZoneRule {
        zone: Zone::from_name(name),
        tier,
        bounds,
        priority,
        useful: usize::MAX,
    }
}

fn demands<'a>(rules: &'a [ZoneRule], tokens: &[usize]) -> Vec<Demand<'a>> {
    rules
        .iter()
        .zip(tokens)
        .map(|(rule, &tokens)| Demand {
            rule,
            tokens,
            tools: Vec::new(),
        })
        .collect()
}

fn tokens(allocation: &Allocation) -> Vec<usize> {
    allocation.zones.iter().map(|zone| zone.tokens).collect()
}

/// The second strategy seed's categories, as it gives them.
fn hierarchical() -> Vec<ZoneRule> {
    let zone =
        |name, priority, min, max| rule(name, Tier::Compactable, priority, bounds(min, max, max));
    vec![
        zone("instructions", 1, 100, 500),
        zone("task_context", 2, 200, 2000),
        zone("user_history", 3, 100, 1500),
        zone("domain_knowledge", 4, 0, 1000),
        zone("few_shot", 5, 0, 800),
    ]
}

#[test]
fn need_is_not_added_on_top_of_the_minimum() {
    // A need of 150 with a minimum of 100 is 150 tokens, not 250.
    let rules = hierarchical();
    let given = allocate(
        8000,
        &MARKS,
        bounds(0, 0, 0),
        &demands(&rules, &[150, 0, 0, 0, 0]),
    )
    .expect("150 fit into 8000");
    assert_eq!(tokens(&given), [150, 0, 0, 0, 0]);
    assert_eq!(given.unused, 7850);
}

#[test]
fn minima_above_the_budget_are_refused() {
    // 100 + 200 + 100 = 400 tokens of minima do not fit into 399.
    let rules = hierarchical();
    let demands = demands(&rules, &[1000; 5]);
    assert_eq!(
        allocate(399, &MARKS, bounds(0, 0, 0), &demands),
        Err(Shortfall {
            budget: 399,
            required: 400,
            output: 0,
            floors: vec![
                (Zone::from_name("instructions"), 100),
                (Zone::from_name("task_context"), 200),
                (Zone::from_name("user_history"), 100),
            ],
            over_max: Vec::new(),
        })
    );
    let given = allocate(400, &MARKS, bounds(0, 0, 0), &demands).expect("400 do");
    assert_eq!(tokens(&given), [100, 200, 100, 0, 0]);
}

#[test]
fn priorities_are_served_in_turn() {
    let rules = hierarchical();
    let of = |budget| {
        let demands = demands(&rules, &[400, 2500, 2500, 600, 300]);
        tokens(&allocate(budget, &MARKS, bounds(0, 0, 0), &demands).expect("fits"))
    };
    assert_eq!(of(600), [300, 200, 100, 0, 0]);
    assert_eq!(of(1000), [400, 500, 100, 0, 0]);
    assert_eq!(of(3000), [400, 2000, 600, 0, 0]);
    assert_eq!(of(4700), [400, 2000, 1500, 600, 200]);
    assert_eq!(of(9000), [400, 2000, 1500, 600, 300]);
}

#[test]
fn one_priority_shares_in_proportion_to_what_is_lacking() {
    let zone = |name, min, target| rule(name, Tier::Compactable, 2, bounds(min, target, 10_000));
    let rules = [zone("history", 100, 700), zone("retrieval", 0, 300)];
    let of = |budget, has: [usize; 2]| {
        tokens(&allocate(budget, &MARKS, bounds(0, 0, 0), &demands(&rules, &has)).expect("fits"))
    };
    // 600 and 300 are lacking to the targets: 300 tokens of room go 200 to 100.
    assert_eq!(of(400, [5000, 5000]), [300, 100]);
    // Beyond the targets, 4,300 and 4,700 are lacking: 900 go 430 to 470.
    assert_eq!(of(1900, [5000, 5000]), [1130, 770]);
    // Room that one has no use for is the other's.
    assert_eq!(of(1900, [50, 5000]), [50, 1850]);
}

#[test]
fn the_answer_comes_before_targets_and_after_them() {
    let rules = [rule("history", Tier::Compactable, 2, bounds(100, 500, 900))];
    let of = |budget, has: usize| {
        let given = allocate(
            budget,
            &MARKS,
            bounds(50, 200, 400),
            &demands(&rules, &[has]),
        )
        .expect("fits");
        (given.zones[0].tokens, given.output, given.unused)
    };
    assert_eq!(of(150, 2000), (100, 50, 0), "floors");
    assert_eq!(of(250, 2000), (100, 150, 0), "the answer's target");
    assert_eq!(of(600, 2000), (400, 200, 0), "the zone's target");
    assert_eq!(of(1100, 2000), (900, 200, 0), "the zone's cap");
    assert_eq!(of(1200, 2000), (900, 300, 0), "the answer's cap");
    assert_eq!(of(1500, 2000), (900, 400, 200), "nobody wants the rest");
    assert_eq!(
        of(600, 120),
        (120, 400, 80),
        "floors are only as high as the text"
    );
}

#[test]
fn text_that_is_of_no_use_gets_no_tokens() {
    let rules = [ZoneRule {
        useful: 300,
        ..rule("retrieval", Tier::Compactable, 3, bounds(500, 800, 2000))
    }];
    let given = allocate(4000, &MARKS, bounds(0, 0, 0), &demands(&rules, &[1500])).expect("fits");
    assert_eq!(tokens(&given), [300]);
    assert_eq!(given.zones[0].overflow(), 1200);
}

#[test]
fn a_tool_has_a_limit_of_its_own() {
    let rules = [rule(
        "tool_outputs",
        Tier::Clearable,
        5,
        bounds(0, 8000, 8000),
    )];
    let tool = |name, tokens, max| ToolDemand { name, tokens, max };
    let of = |budget| {
        let demands = [Demand {
            rule: &rules[0],
            tokens: 5000,
            tools: vec![
                tool("grep", 3000, Some(2000)),
                tool("read_file", 1500, Some(6000)),
                tool("ls", 500, None),
            ],
        }];
        let mut given = allocate(budget, &MARKS, bounds(0, 0, 0), &demands).expect("fits");
        let zone = given.zones.remove(0);
        let over: Vec<usize> = zone.tools.iter().map(|tool| tool.overflow()).collect();
        (zone.tokens, over)
    };
    assert_eq!(
        of(8000),
        (4000, vec![1000, 0, 0]),
        "grep is 1000 over its limit"
    );
    assert_eq!(
        of(1200),
        (1200, vec![1800, 300, 0]),
        "none may have more than the zone"
    );
}

#[test]
fn protected_zones_get_what_they_have_or_the_request_is_refused() {
    let rules = [
        rule("system", Tier::Protected, 1, bounds(0, 0, 8000)),
        rule("tool_schemas", Tier::MostlyProtected, 1, bounds(0, 0, 8000)),
        rule("history", Tier::Compactable, 2, bounds(0, 8000, 8000)),
    ];
    let of = |has: [usize; 3]| {
        allocate(
            10_000,
            &MARKS,
            bounds(512, 512, 512),
            &demands(&rules, &has),
        )
    };
    assert_eq!(
        tokens(&of([4000, 5000, 2000]).expect("fits")),
        [4000, 5000, 488]
    );

    let refused = of([4000, 9000, 2000]).expect_err("too much");
    assert_eq!((refused.required, refused.missing()), (13_512, 3512));
    assert_eq!(
        refused.to_string(),
        "zone tool_schemas has 9000 tokens, may not be edited and has a maximum of 8000; \
         13512 tokens are required but the budget is 10000 (system 4000, tool_schemas 9000, \
         output minimum 512)"
    );
    let over_max_only = of([0, 9000, 0]).expect_err("more than its maximum");
    assert_eq!(over_max_only.missing(), 0);
}

#[test]
fn the_soft_mark_is_reported_and_nothing_more() {
    let rules = [rule("history", Tier::Compactable, 2, bounds(0, 1000, 1000))];
    let of = |has: usize| {
        let given = allocate(
            1000,
            &MARKS,
            bounds(100, 100, 100),
            &demands(&rules, &[has]),
        )
        .expect("fits");
        (given.zones[0].tokens, given.over_soft)
    };
    assert_eq!(of(500), (500, 0));
    assert_eq!(of(501), (501, 1));
    assert_eq!(of(900), (900, 400));
}

#[test]
fn counts_near_the_largest_number_do_not_overflow() {
    let huge = usize::MAX;
    let rules = [
        rule("history", Tier::Compactable, 2, bounds(huge, huge, huge)),
        rule("retrieval", Tier::Compactable, 2, bounds(huge, huge, huge)),
    ];
    let demands = demands(&rules, &[huge, huge]);
    let refused = allocate(huge - 1, &MARKS, bounds(1, 1, 1), &demands).expect_err("too much");
    assert_eq!(refused.required, huge);
}

/// A zone of a random request: rule, tokens it has, tools with their limits.
#[derive(Clone, Debug)]
struct RandomZone {
    rule: ZoneRule,
    tokens: usize,
    tools: Vec<(String, usize, Option<usize>)>,
}

impl RandomZone {
    fn demand(&self) -> Demand<'_> {
        Demand {
            rule: &self.rule,
            tokens: self.tokens,
            tools: self
                .tools
                .iter()
                .map(|(name, tokens, max)| ToolDemand {
                    name,
                    tokens: *tokens,
                    max: *max,
                })
                .collect(),
        }
    }

    /// The floor and the cap by their definitions, written once more.
    fn floor_and_cap(&self) -> (usize, usize) {
        if matches!(
            self.rule.tier,
            Tier::Committed | Tier::Protected | Tier::MostlyProtected
        ) {
            return (self.tokens, self.tokens);
        }
        let in_tools: usize = self.tools.iter().map(|tool| tool.1).sum();
        let allowed: usize = self
            .tools
            .iter()
            .map(|tool| tool.2.unwrap_or(usize::MAX).min(tool.1))
            .sum();
        let cap = (self.tokens - in_tools + allowed)
            .min(self.rule.bounds.max)
            .min(self.rule.useful);
        (self.rule.bounds.min.min(cap), cap)
    }
}

fn sorted_bounds(limit: usize) -> impl Strategy<Value = Bounds> {
    prop::array::uniform3(0..limit).prop_map(|mut of| {
        of.sort_unstable();
        bounds(of[0], of[1], of[2])
    })
}

fn random_zone() -> impl Strategy<Value = RandomZone> {
    let useful = prop_oneof![3 => Just(usize::MAX), 1 => 0_usize..400];
    let tools = prop::collection::vec((0_usize..120, prop::option::of(0_usize..80)), 0..3);
    (
        0_usize..6,
        1_u32..4,
        sorted_bounds(400),
        useful,
        0_usize..300,
        tools,
    )
        .prop_map(|(tier, priority, mut bounds, useful, rest, tools)| {
            let tier = Tier::ALL[tier];
            let tokens = rest + tools.iter().map(|tool| tool.0).sum::<usize>();
            if tier.is_fixed() {
                bounds.max = bounds.max.max(tokens + 1);
            }
            let tools = (0_usize..).zip(tools);
            RandomZone {
                rule: ZoneRule {
                    zone: Zone::History,
                    tier,
                    bounds,
                    priority,
                    useful,
                },
                tokens,
                tools: tools
                    .map(|(at, (tokens, max))| (format!("tool{at}"), tokens, max))
                    .collect(),
            }
        })
}

fn random_zones() -> impl Strategy<Value = Vec<RandomZone>> {
    prop::collection::vec(random_zone(), 1..8).prop_map(|mut zones| {
        for (at, zone) in zones.iter_mut().enumerate() {
            zone.rule.zone = Zone::Custom(format!("zone{at}").into());
        }
        zones
    })
}

fn divide(budget: usize, output: Bounds, zones: &[RandomZone]) -> Result<Allocation, Shortfall> {
    let demands: Vec<Demand<'_>> = zones.iter().map(RandomZone::demand).collect();
    allocate(budget, &MARKS, output, &demands)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 20_000,
        rng_seed: RngSeed::Fixed(2026),
        ..ProptestConfig::default()
    })]

    #[test]
    fn sum_floors_and_caps_hold(
        zones in random_zones(), output in sorted_bounds(300), budget in 0_usize..4000,
    ) {
        let required = output.min
            + zones.iter().map(|zone| zone.floor_and_cap().0).sum::<usize>();
        let given = match divide(budget, output, &zones) {
            Ok(given) => given,
            Err(refused) => {
                prop_assert_eq!(refused.required, required);
                prop_assert!(required > budget);
                return Ok(());
            }
        };
        prop_assert!(required <= budget);
        let sum: usize = given.zones.iter().map(|zone| zone.tokens).sum();
        prop_assert_eq!(sum + given.output + given.unused, budget);
        prop_assert!((output.min..=output.max).contains(&given.output));
        let mut wanted = output.max;
        for (zone, allocation) in zones.iter().zip(&given.zones) {
            let (floor, cap) = zone.floor_and_cap();
            prop_assert!((floor..=cap).contains(&allocation.tokens));
            prop_assert!(cap <= zone.tokens);
            wanted += cap;
        }
        // Nothing is left over while somebody could use it.
        prop_assert_eq!(given.unused, budget.saturating_sub(wanted));
    }

    #[test]
    fn a_token_of_budget_goes_to_one_place_and_is_taken_from_none(
        zones in random_zones(), output in sorted_bounds(300), extra in 0_usize..2500,
    ) {
        let required = divide(0, output, &zones).map_or_else(|refused| refused.required, |_| 0);
        let less = divide(required + extra, output, &zones).expect("the floors fit");
        let more = divide(required + extra + 1, output, &zones).expect("the floors fit");
        prop_assert!(less.output <= more.output);
        prop_assert!(less.unused <= more.unused);
        let mut raised = more.output - less.output + (more.unused - less.unused);
        for (less, more) in less.zones.iter().zip(&more.zones) {
            prop_assert!(less.tokens <= more.tokens);
            raised += more.tokens - less.tokens;
        }
        prop_assert_eq!(raised, 1);
    }

    #[test]
    fn having_more_is_never_getting_less(
        zones in random_zones(), output in sorted_bounds(300), budget in 0_usize..4000,
        at in any::<prop::sample::Index>(), more in 1_usize..100,
    ) {
        let at = at.index(zones.len());
        let mut grown = zones.clone();
        grown[at].tokens += more;
        if grown[at].rule.tier.is_fixed() {
            grown[at].rule.bounds.max += more;
        }
        let before = divide(budget, output, &zones);
        let (Ok(before), Ok(after)) = (before, divide(budget, output, &grown)) else {
            return Ok(());
        };
        prop_assert!(before.zones[at].tokens <= after.zones[at].tokens);
    }

    #[test]
    fn the_order_of_zones_of_different_priority_does_not_matter(
        zones in random_zones(), output in sorted_bounds(300), budget in 0_usize..4000,
    ) {
        // A stable sort by priority keeps the order inside of one, which settles ties.
        let mut sorted = zones.clone();
        sorted.sort_by_key(|zone| std::cmp::Reverse(zone.rule.priority));
        let by_zone = |given: Result<Allocation, Shortfall>| {
            given.ok().map(|mut given| {
                given.zones.sort_by(|a, b| a.zone.cmp(&b.zone));
                given
            })
        };
        prop_assert_eq!(
            by_zone(divide(budget, output, &zones)),
            by_zone(divide(budget, output, &sorted))
        );
    }
}
