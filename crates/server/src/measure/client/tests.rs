use serde_json::json;

use super::*;

#[test]
fn the_last_chunk_adds_to_the_report_of_the_first() {
    let mut report = None;
    add_report(
        &mut report,
        json!({"edits": [1], "cost": {"actual_prefill_ms": null}}),
    );
    add_report(&mut report, json!({"cost": {"actual_prefill_ms": 3.0}}));
    let whole = json!({"edits": [1], "cost": {"actual_prefill_ms": 3.0}});
    assert_eq!(report, Some(whole));
}
