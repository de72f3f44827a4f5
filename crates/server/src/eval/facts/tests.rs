use std::collections::BTreeSet;

use super::{FactKind, FactSource};
use crate::eval::scoring::is_right;

#[test]
fn a_statement_contains_its_value_and_answers_its_question() {
    for seed in 0..200 {
        let mut source = FactSource::new(seed);
        for kind in FactKind::ALL {
            let fact = source.draw(kind);
            assert_eq!(fact.kind, kind);
            if kind == FactKind::Absent {
                assert_eq!((fact.statement.as_str(), fact.value.as_str()), ("", ""));
            } else {
                assert!(is_right(&fact, &fact.statement), "{fact:?}");
            }
            if let Some(old) = &fact.superseded {
                assert!(!is_right(&fact, old), "{fact:?}");
            }
        }
    }
}

#[test]
fn values_differ_between_seeds() {
    let values: BTreeSet<String> = (0..200)
        .map(|seed| FactSource::new(seed).draw(FactKind::RestatedArtifact).value)
        .collect();
    assert!(values.len() > 190, "{}", values.len());
}

#[test]
fn an_absent_fact_is_asked_of_something_that_is_there() {
    let mut source = FactSource::new(9);
    let constraint = source.draw(FactKind::Constraint);
    let absent = source.draw(FactKind::Absent);
    let project = absent
        .question
        .split(" of ")
        .nth(1)
        .unwrap()
        .trim_end_matches('?');
    assert!(constraint.statement.contains(project), "{absent:?}");
}
