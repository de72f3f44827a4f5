use super::Pauses;
use crate::measure::random::Random;

/// In seconds.
fn drawn(text: &str) -> Vec<f64> {
    let mut random = Random::new(3);
    let pauses: Pauses = text.parse().unwrap();
    assert_eq!(pauses.to_string(), text);
    (0..20_000)
        .map(|_| pauses.draw(&mut random).as_secs_f64())
        .collect()
}

#[test]
fn draws_are_as_asked() {
    assert!(drawn("0").iter().all(|&pause| pause == 0.0));
    assert!(drawn("1.25").iter().all(|&pause| pause == 1.25));
    assert!(
        drawn("lognormal:2,0")
            .iter()
            .all(|pause| (pause - 2.0).abs() < 1e-6)
    );
    let uniform = drawn("0.5..1.5");
    assert!(uniform.iter().all(|pause| (0.5..=1.5).contains(pause)));
    let mean = uniform.iter().sum::<f64>() / uniform.len() as f64;
    // A standard error of 0.002.
    assert!((mean - 1.0).abs() < 0.01, "{mean}");
    let mut lognormal = drawn("lognormal:2,0.5");
    lognormal.sort_by(f64::total_cmp);
    let median = lognormal[lognormal.len() / 2];
    assert!((median - 2.0).abs() < 0.05, "{median}");
    // Three standard deviations: 2 e^1.5.
    assert!(lognormal[lognormal.len() - 1] <= 8.97);
    assert!(drawn("normal:0.1,1").iter().all(|&pause| pause >= 0.0));
}

#[test]
fn what_cannot_be_waited_is_refused() {
    for text in [
        "",
        "-1",
        "nan",
        "inf",
        "2..1",
        "-1..2",
        "normal:1,-1",
        "lognormal:0,1",
        "90000",
        "often",
    ] {
        let error = text.parse::<Pauses>().unwrap_err();
        assert!(error.contains(text), "{text:?}: {error}");
    }
}
