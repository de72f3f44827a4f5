use super::*;

const WEIGHTS: Weights = Weights {
    loss: 1.0,
    prefill_ms: 0.01,
};

fn batch(freed: usize, extra_ms: f64, cost: f64) -> Batch {
    Batch {
        freed,
        extra_ms,
        cost,
        benefit: 0.0,
    }
}

/// The batch that costs least over 40 turns that add 500 tokens each.
fn cheapest(batches: &[Batch]) -> usize {
    let cost = |batch: &Batch| batch.amortised(&WEIGHTS, 500.0, 40.0);
    let all = batches.iter().enumerate();
    let best = all.min_by(|a, b| cost(a.1).total_cmp(&cost(b.1)));
    best.map(|(at, _)| at).expect("there are batches")
}

#[test]
fn a_batch_is_paid_as_often_as_growth_asks_for_it() {
    // 40 turns of 500 tokens are 20,000: five batches of 4,000, each 2 * 1 + 300 * 0.01 = 5.
    let cost = batch(4_000, 300.0, 2.0).amortised(&WEIGHTS, 500.0, 40.0);
    assert!((cost - 25.0).abs() < 1e-9);
    // One larger than all the growth is paid once, and so is one of a conversation that stands.
    assert!((batch(50_000, 300.0, 2.0).amortised(&WEIGHTS, 500.0, 40.0) - 5.0).abs() < 1e-9);
    assert!((batch(4_000, 300.0, 2.0).amortised(&WEIGHTS, 0.0, 40.0) - 5.0).abs() < 1e-9);
}

#[test]
fn a_suffix_that_costs_the_same_is_paid_in_large_batches() {
    let flat = [batch(1_000, 800.0, 0.1), batch(4_000, 800.0, 0.4)];
    assert_eq!(cheapest(&flat), 1);
    // When the larger batch begins much further forward or loses much more, the small one wins.
    let steep = [batch(1_000, 100.0, 0.1), batch(4_000, 900.0, 0.4)];
    assert_eq!(cheapest(&steep), 0);
    let lossy = [batch(1_000, 800.0, 0.1), batch(4_000, 800.0, 40.0)];
    assert_eq!(cheapest(&lossy), 0);
}

#[test]
fn what_is_saved_now_is_saved_once() {
    assert!((batch(1_000, -300.0, 1.0).amortised(&WEIGHTS, 500.0, 40.0) + 2.0).abs() < 1e-9);
}
