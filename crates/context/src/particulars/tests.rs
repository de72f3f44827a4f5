use super::*;

#[test]
fn a_rare_name_counts_and_what_stands_on_every_line_does_not() {
    let mut log: Vec<String> = (0..60)
        .map(|i| {
            format!(
                "[08:{i:02}] the worker finished job {} in {} ms",
                100 + i,
                10 + i
            )
        })
        .collect();
    log[17] = "[08:17] the report is in /var/log/key/bell17.log".to_owned();
    log[40] = "[08:40] the door code is ZQ-1263".to_owned();
    let lines: Vec<&str> = log.iter().map(String::as_str).collect();
    let found = particulars(&lines);
    for (i, value) in found.iter().enumerate() {
        assert_eq!(*value >= PARTICULAR, i == 17 || i == 40, "{i}: {value}");
        assert!((0.0..=1.0).contains(value), "{i}: {value}");
    }
}

#[test]
fn prose_without_names_says_nothing_in_particular() {
    let found = particulars(&[
        "The quiet lake seemed warm.",
        "Nobody painted the fence.",
        "",
    ]);
    assert_eq!(found, [0.0; 3]);
}

#[test]
fn one_line_alone_is_as_rare_as_can_be() {
    let found = particulars(&["The port is 8123."]);
    assert!((found[0] - 0.7).abs() < 1e-9, "{found:?}");
    assert!(particulars(&[]).is_empty());
}

#[test]
fn a_shorter_text_keeps_a_share_of_what_only_the_long_one_names() {
    let text =
        "All quiet here.\nThe log is in /var/log/bell17.log.\nThe code is ZQ-1263.\nGood night.";
    let names = Particulars::of(text);
    assert_eq!(names.share_in(text), 1.0);
    assert_eq!(names.share_in("The code is ZQ-1263."), 0.5);
    assert_eq!(names.share_in("All quiet here."), 0.0);
    assert_eq!(Particulars::of("All quiet here.").share_in(""), 1.0);
}
