use super::*;

fn counts(edited: u32, needed: u32) -> UseCounts {
    UseCounts { edited, needed }
}

fn utility(tool: (u32, u32), own: (u32, u32)) -> (f64, f64) {
    let utility = Utility::of(counts(tool.0, tool.1), counts(own.0, own.1));
    let Utility { value, confidence } = utility.expect("something is known");
    (value, confidence)
}

#[test]
fn a_text_is_judged_by_itself_and_by_its_tool() {
    assert_eq!(Utility::of(counts(0, 0), counts(0, 0)), None);
    // A tool whose results were needed after one of four edits; of another text nothing is known.
    assert_eq!(utility((4, 1), (0, 0)), (0.25, 0.5));
    // This one was needed after its only edit: (1 + 2 / 4) of 3 events.
    assert_eq!(utility((4, 1), (1, 1)), (0.5, 0.5));
    // And this one was not, twice: 2 / 4 of 4 events.
    assert_eq!(utility((4, 1), (2, 0)), (0.125, 0.5));
    // A document has no tool: what is known is that it was restored, twice.
    assert_eq!(utility((0, 0), (0, 2)), (1.0, 1.0 / 3.0));
    // One event is little to go by.
    assert_eq!(utility((1, 1), (1, 1)), (1.0, 0.2));
}

#[test]
fn needs_without_known_edits_are_no_more_than_all() {
    let (value, confidence) = utility((1, 3), (1, 3));
    assert_eq!((value, confidence), (1.0, 3.0 / 7.0));
}

#[test]
fn the_past_fades() {
    let mut tool = UseCounts::default();
    for _ in 0..1000 {
        tool.count_edit();
        tool.count_need();
    }
    assert!(tool.edited <= MEMORY && tool.edited.abs_diff(tool.needed) <= 1);
    for _ in 0..400 {
        tool.count_edit();
    }
    // Needed no more, and halved until nothing is left of it.
    assert!(
        utility((tool.edited, tool.needed), (0, 0)).0 < 0.05,
        "{tool:?}"
    );
}
