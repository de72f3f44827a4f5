use super::super::line::Line;
use super::super::measurement::Measurement;
use super::{line_of_medians, rows};

fn measurement(percent: &str, prompt: u64, cached: Option<u64>, ttft_ms: f64) -> Measurement {
    Measurement {
        repetition: 0,
        order: 0,
        hit_rate_asked: percent.parse().unwrap(),
        hit_rate_observed: cached.map(|cached| cached as f64 / prompt as f64 * 100.0),
        prompt_tokens_asked: 1000,
        prompt_tokens: Some(prompt),
        cached_tokens: cached,
        completion_tokens: Some(1),
        ttft_ms,
        total_ms: ttft_ms,
        warming_ttft_ms: None,
    }
}

#[test]
fn rows_rise_by_hit_rate_and_compare_with_cold() {
    let rows = rows(&[
        measurement("50", 1000, Some(496), 60.0),
        measurement("0", 1000, Some(0), 120.0),
        measurement("50", 1000, Some(504), 40.0),
        measurement("0", 1000, Some(0), 80.0),
    ]);
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].hit_rate_asked.percent(), rows[0].hit_rate_observed),
        (0.0, Some(0.0))
    );
    assert_eq!(
        (rows[0].n, rows[0].p50_ms, rows[0].ratio_to_cold),
        (2, 100.0, Some(1.0))
    );
    assert_eq!(
        (rows[1].p50_ms, rows[1].min_ms, rows[1].max_ms),
        (50.0, 40.0, 60.0)
    );
    assert_eq!(rows[1].ratio_to_cold, Some(0.5));
    let observed = rows[1].hit_rate_observed.unwrap();
    assert!((observed - 50.0).abs() < 1e-9, "{observed}");
}

#[test]
fn one_unreported_hit_makes_the_row_unreported_and_no_cold_no_ratio() {
    let rows = rows(&[
        measurement("50", 1000, Some(500), 1.0),
        measurement("50", 1000, None, 1.0),
    ]);
    assert_eq!(
        (rows[0].hit_rate_observed, rows[0].ratio_to_cold),
        (None, None)
    );
}

#[test]
fn the_line_says_what_a_token_costs() {
    // 10 ms and 0.05 ms per uncached token.
    let line = Line::of_all(&[
        measurement("0", 1000, Some(0), 60.0),
        measurement("50", 1000, Some(480), 36.0),
        measurement("100", 1000, Some(999), 10.05),
    ])
    .unwrap();
    assert!((line.fixed_ms - 10.0).abs() < 1e-9, "{line:?}");
    assert!((line.ms_per_token - 0.05).abs() < 1e-12, "{line:?}");
    assert!(
        (line.prefill_tokens_per_second.unwrap() - 20_000.0).abs() < 1e-3,
        "{line:?}"
    );
    assert!((line.r_squared - 1.0).abs() < 1e-12, "{line:?}");
    assert_eq!(line.uncached_tokens_from, "usage");
}

#[test]
fn the_line_goes_by_what_was_asked_where_the_server_counts_nothing() {
    let line = Line::of_all(&[
        measurement("0", 1000, None, 60.0),
        measurement("50", 1000, None, 35.0),
    ])
    .unwrap();
    assert!((line.ms_per_token - 0.05).abs() < 1e-12, "{line:?}");
    assert_eq!(line.uncached_tokens_from, "asked");
}

#[test]
fn scatter_around_the_line_lowers_r_squared() {
    // Hand-computed: x = 0, 1000, 0, 1000; y = 0, 3, 1, 4: slope 0.003, R2 = 9 / 10.
    let line = Line::of_all(&[
        measurement("100", 1000, Some(1000), 0.0),
        measurement("0", 1000, Some(0), 3.0),
        measurement("100", 1000, Some(1000), 1.0),
        measurement("0", 1000, Some(0), 4.0),
    ])
    .unwrap();
    assert!((line.ms_per_token - 0.003).abs() < 1e-12, "{line:?}");
    assert!((line.r_squared - 0.9).abs() < 1e-12, "{line:?}");
}

#[test]
fn no_line_goes_through_one_count() {
    let cold = measurement("0", 1000, Some(0), 60.0);
    assert_eq!(Line::of_all(&[cold.clone(), cold]), None);
    assert_eq!(Line::of_all(&[]), None);
}

#[test]
fn a_falling_line_has_no_prefill_rate() {
    let line = Line::of_all(&[
        measurement("0", 1000, Some(0), 1.0),
        measurement("100", 1000, Some(999), 2.0),
    ]);
    assert_eq!(line.unwrap().prefill_tokens_per_second, None);
}

#[test]
fn a_disturbed_measurement_does_not_move_the_line_of_medians() {
    let measurements = [
        measurement("0", 1000, Some(0), 110.0),
        measurement("0", 1000, Some(0), 900.0),
        measurement("0", 1000, Some(0), 110.0),
        measurement("50", 1000, Some(500), 60.0),
        measurement("99", 1000, Some(990), 11.0),
    ];
    let all = Line::of_all(&measurements).unwrap();
    assert!(all.r_squared < 0.5, "{all:?}");
    let mut rows = rows(&measurements);
    let line = line_of_medians(&mut rows, &measurements).unwrap();
    assert!((line.fixed_ms - 10.0).abs() < 1e-9, "{line:?}");
    assert!((line.ms_per_token - 0.1).abs() < 1e-12, "{line:?}");
    assert!((line.r_squared - 1.0).abs() < 1e-12, "{line:?}");
    for row in rows {
        assert!((row.ratio_to_line.unwrap() - 1.0).abs() < 1e-9, "{row:?}");
    }
}

#[test]
fn a_row_above_the_line_says_by_how_much() {
    // Hand-computed: y = 10, 30, 20 at x = 0, 500, 1000: 15 + 0.01 x.
    let measurements = [
        measurement("0", 1000, Some(0), 20.0),
        measurement("50", 1000, Some(500), 30.0),
        measurement("100", 1000, Some(1000), 10.0),
    ];
    let mut rows = rows(&measurements);
    line_of_medians(&mut rows, &measurements).unwrap();
    let ratios: Vec<f64> = rows.iter().filter_map(|row| row.ratio_to_line).collect();
    for (ratio, expected) in ratios.iter().zip([20.0 / 25.0, 30.0 / 20.0, 10.0 / 15.0]) {
        assert!((ratio - expected).abs() < 1e-9, "{ratios:?}");
    }
    assert_eq!(ratios.len(), 3);
}
