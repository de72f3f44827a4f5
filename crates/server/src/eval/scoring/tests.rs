use super::is_right;
use crate::eval::facts::{Fact, FactKind};

fn fact(value: &str, wrong: Option<&str>) -> Fact {
    Fact {
        kind: FactKind::Decision,
        statement: String::new(),
        superseded: None,
        question: String::new(),
        value: value.to_owned(),
        wrong_value: wrong.map(str::to_owned),
    }
}

#[test]
fn answers_are_right_that_contain_the_value_as_whole_words() {
    let check = |value: &str, answer: &str, right: bool| {
        assert_eq!(
            is_right(&fact(value, None), answer),
            right,
            "{value:?} in {answer:?}"
        );
    };
    check("9017", "The port of the Falcon service is 9017.", true);
    check("9017", "9017", true);
    check("9017", "The port is 19017.", false);
    check("9017", "The port is 90170.", false);
    check("9017", "The port is 8017.", false);
    check("4312 euros", "It is 4,312  Euros.", true);
    check("4312 euros", "It is 4312 dollars.", false);
    check("12,345", "12345", true);
    // Not a thousands separator.
    check("4312", "1, 2, 4,3,1,2", false);
    check(
        "/var/log/key/bell17.log",
        "See `/var/log/key/bell17.log`.",
        true,
    );
    check("/var/log/key/bell17.log", "/var/log/key/bell17.logs", false);
    check("14 March", "by 14 march", true);
    check("4 March", "by 14 March", false);
    check("AB-1234", "The code is ab-1234!", true);
    check("09:45", "", false);
}

#[test]
fn an_answer_with_the_replaced_value_is_wrong() {
    let fact = fact("9017", Some("8123"));
    assert!(is_right(&fact, "It is 9017."));
    assert!(!is_right(&fact, "It was 8123, it is 9017."));
    assert!(!is_right(&fact, "It is 8123."));
    assert!(is_right(&fact, "It is 9017, not 81234."));
}

#[test]
fn an_absent_fact_is_answered_by_saying_so() {
    let absent = fact("", None);
    assert!(is_right(
        &absent,
        "I don't know: the context does not say that."
    ));
    assert!(is_right(&absent, "I don\u{2019}t know."));
    assert!(!is_right(
        &absent,
        "The sponsor of project Falcon is Miller Ltd."
    ));
    assert!(!is_right(&absent, ""));
}
