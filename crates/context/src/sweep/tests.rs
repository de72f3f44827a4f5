use super::frontier::dominates;
use super::*;
use crate::{
    Bounds, CacheSnapshot, ClearInputs, ClearingRule, CompactionRule, CostModel, LadderMode, Low,
    Objective, Outlook, Placement, PlanInput, Policy, PrefillWeight, RetrievalRule, SummaryLevel,
    Utilization,
};

/// Numbers that look random and are the same every time (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    fn share(&mut self) -> f64 {
        self.below(1001) as f64 / 1000.0
    }
}

fn input(prompt_tokens: usize, matched: usize, random: &mut Random) -> PlanInput {
    PlanInput {
        policy: Policy {
            budget: prompt_tokens,
            utilization: Utilization {
                soft: 0.5,
                high: 0.8,
                low: Low::Share(0.5),
            },
            output: Bounds::default(),
            stable_prefix_end: 0,
            zones: Vec::new(),
            ladder: Vec::new(),
            ladder_mode: LadderMode::Strict,
            clearing: ClearingRule {
                trigger: None,
                keep: 0,
                clear_at_least: 0,
                clear_inputs: ClearInputs::None,
                tools: Vec::new(),
            },
            thinking: None,
            compaction: CompactionRule {
                trigger: None,
                compact_at_least: 0,
                keep_raw_turns: 0,
                max_tokens: 0,
                level: SummaryLevel::Detailed,
                critical_recall: 0.0,
                max_nll_delta: 0.5,
            },
            retrieval: RetrievalRule {
                min_score: 0.0,
                placement: Placement::AsIs,
                diversity: 0.0,
            },
            objective: Objective {
                loss: random.share(),
                prefill: PrefillWeight::Millisecond(random.share() * 0.2),
                tokens: random.share(),
            },
            outlook: Outlook {
                turns: random.below(20) as f64,
                growth_per_turn: random.below(50) as f64,
                output_per_turn: random.below(50) as f64,
                min_turns_between_edits: 0,
                turns_since_edits: None,
            },
        },
        segments: Vec::new(),
        prompt_tokens,
        incoming: 0,
        cache: CacheSnapshot {
            matched,
            pressure: 0.0,
        },
        cost: CostModel {
            per_step: random.share() * 1e-3,
            per_token: random.share() * 1e-4,
            per_pair: random.share() * 1e-6,
            step_tokens: 64,
            residency: random.share() * 1e-6,
        },
    }
}

/// Up to `most` groups of 1 to 3 offers on a prompt, from its end to its head.
fn groups(most: usize, prompt_tokens: usize, random: &mut Random) -> Vec<Group> {
    let mut groups: Vec<Group> = (0..1 + random.below(most))
        .map(|at| {
            let zone = random.below(2);
            let offers = 1 + random.below(3);
            let position = random.below(prompt_tokens);
            let offers = (0..offers).map(|_| {
                let freed = 1 + random.below(prompt_tokens / (2 * most));
                let loss = random.share();
                Offer {
                    candidate: at,
                    also: None,
                    position,
                    freed,
                    loss,
                    cost: loss,
                    zones: [(zone, freed), (zone, 0)],
                }
            });
            Group::new(offers.collect())
        })
        .collect();
    groups.sort_by_key(|group| usize::MAX - group.position);
    groups
}

fn start(prompt_tokens: usize, room: usize) -> Start {
    Start {
        position: prompt_tokens,
        freed: 0,
        counted: 0,
        loss: 0.0,
        cost: 0.0,
        edits: 0,
        room: vec![room; 2],
    }
}

/// The lowest score of all choices that free enough, by trying every one.
fn brute_force(groups: &[Group], start: &Start, price: &Price<'_>, need: usize) -> Option<f64> {
    fn descend(
        (groups, price, need): (&[Group], &Price<'_>, usize),
        at: usize,
        state: (usize, usize, f64),
        room: &mut [usize],
        best: &mut Option<f64>,
    ) {
        let (position, freed, cost) = state;
        let Some(group) = groups.get(at) else {
            if freed >= need {
                let score = price.score(position, freed, cost);
                *best = Some(best.map_or(score, |best| best.min(score)));
            }
            return;
        };
        descend((groups, price, need), at + 1, state, room, best);
        for offer in &group.offers {
            let zone = offer.zones[0].0;
            if room[zone] >= offer.freed {
                room[zone] -= offer.freed;
                let with = (
                    position.min(group.position),
                    freed + offer.freed,
                    cost + offer.cost,
                );
                descend((groups, price, need), at + 1, with, room, best);
                room[zone] += offer.freed;
            }
        }
    }
    let mut best = None;
    let state = (start.position, start.freed, start.cost);
    descend(
        (groups, price, need),
        0,
        state,
        &mut start.room.clone(),
        &mut best,
    );
    best
}

#[test]
fn small_instances_are_solved_as_well_as_by_trying_everything() {
    let mut solved = 0;
    for seed in 0..3000 {
        let random = &mut Random(seed);
        let tokens = 200 + random.below(200);
        let matched = random.below(tokens + 1);
        let input = input(tokens, matched, random);
        let groups = groups(7, tokens, random);
        let start = start(tokens, usize::MAX);
        let most: usize = groups.iter().map(Group::most).sum();
        let need = random.below(most + 2);
        let price = Price::new(&input, need + random.below(100));
        let swept = sweep(&groups, &start, &price, need);
        let expected = brute_force(&groups, &start, &price, need);
        assert_eq!(swept.best.is_some(), need <= most, "seed {seed}");
        if let (Some(best), Some(expected)) = (&swept.best, expected) {
            solved += 1;
            assert!(best.freed >= need, "seed {seed}");
            assert!(
                (best.score - expected).abs() < 1e-9,
                "seed {seed}: {best:?} {expected}"
            );
        }
    }
    assert!(solved > 2000, "{solved}");
}

#[test]
fn floors_are_kept_and_never_keep_a_need_from_being_met() {
    for seed in 0..3000 {
        let random = &mut Random(seed);
        let tokens = 200 + random.below(200);
        let matched = random.below(tokens + 1);
        let input = input(tokens, matched, random);
        let groups = groups(7, tokens, random);
        let start = start(tokens, random.below(tokens / 4));
        let most: usize = groups.iter().map(Group::most).sum();
        let need = random.below(most + 1).min(start.room[0]);
        let price = Price::new(&input, need);
        let swept = sweep(&groups, &start, &price, need);
        let expected = brute_force(&groups, &start, &price, need);
        if let Some(best) = &swept.best {
            let mut freed = [0; 2];
            for &(group, offer) in &best.picks {
                let (zone, tokens) = groups[group].offers[offer].zones[0];
                freed[zone] += tokens;
            }
            assert!(
                freed.iter().all(|freed| *freed <= start.room[0]),
                "seed {seed}"
            );
            assert!(
                best.score >= expected.expect("a choice was found") - 1e-9,
                "seed {seed}"
            );
        }
        assert_eq!(swept.best.is_some(), expected.is_some(), "seed {seed}");
    }
}

#[test]
fn many_groups_are_solved_nearly_as_well_as_exactly() {
    for seed in 0..200 {
        let random = &mut Random(seed);
        let input = input(20_000, random.below(20_001), random);
        let groups = groups(64, 20_000, random);
        let start = start(20_000, usize::MAX);
        let most: usize = groups.iter().map(Group::most).sum();
        let need = random.below(most);
        let price = Price::new(&input, need);
        let least = |picks: Option<Vec<(usize, usize)>>| {
            picks.map(|picks| Choice::new(&groups, &start, &price, picks.into_iter()).cost)
        };
        let mut greedy = Greedy::new(&groups, &start, &price, need, false);
        let greedy = least(greedy.picks(groups.len()).map(Iterator::collect));
        let greedy = greedy.expect("no floor binds");
        let mut table = Table::new(&groups, &start, &price, need).expect("no floor binds");
        let most_of_one = groups.iter().flat_map(|group| &group.offers);
        let dearest = most_of_one.map(|offer| offer.cost).fold(0.0, f64::max);
        if let Some(exact) = least(table.picks(groups.len())) {
            // Greedy loses at most one offer against the best fractional choice.
            assert!(
                greedy <= exact + dearest + 1e-9,
                "seed {seed}: {greedy} {exact}"
            );
        }
    }
}

#[test]
fn the_frontier_has_no_dominated_point_and_the_chosen_one() {
    for seed in 0..300 {
        let random = &mut Random(seed);
        let mut points: Vec<PlanPoint> = (0..1 + random.below(200))
            .map(|_| PlanPoint {
                edits: 1,
                position: 0,
                loss: random.below(50) as f64,
                prefill_tokens: 0,
                prefill_seconds: random.below(50) as f64,
                tokens: random.below(50),
            })
            .collect();
        let chosen = points.swap_remove(random.below(points.len()));
        let all = points.clone();
        let frontier = frontier(points, &chosen);
        assert!(
            frontier.len() <= 64 && frontier.contains(&chosen),
            "seed {seed}"
        );
        for point in frontier.iter().filter(|point| **point != chosen) {
            let others = all.iter().chain([&chosen]);
            assert!(
                !others.into_iter().any(|other| dominates(other, point)),
                "seed {seed}"
            );
        }
    }
}
