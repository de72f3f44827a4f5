//! The billing line that Claude Code puts in front of the system prompt.
//!
//! It tells the vendor whom to charge, says nothing to a model, and changes with every request: with
//! it in the prompt no prefix would ever be found again. So it is left out, and the answer says so.

use serde_json::Value;

/// What such a line begins with.
const MARK: &str = "x-anthropic-billing-header:";

/// Leaves the billing lines out of `system`, and says how many there were. A block of nothing else
/// goes with them.
pub(super) fn leave_out(system: &mut Value) -> usize {
    match system {
        Value::String(text) => leave_out_of_text(text),
        Value::Array(blocks) => {
            let mut num_lines = 0;
            blocks.retain_mut(|block| {
                let Some(Value::String(text)) = block.get_mut("text") else {
                    return true;
                };
                let left_out = leave_out_of_text(text);
                num_lines += left_out;
                left_out == 0 || !text.trim().is_empty()
            });
            num_lines
        }
        _ => 0,
    }
}

fn leave_out_of_text(text: &mut String) -> usize {
    if !text.contains(MARK) {
        return 0;
    }
    let is_billing = |line: &&str| line.starts_with(MARK);
    let num_lines = text.split_inclusive('\n').filter(is_billing).count();
    let rest = text.split_inclusive('\n').filter(|line| !is_billing(line));
    *text = rest.collect();
    num_lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(cch: &str) -> String {
        format!("{MARK} cc_version=2.1.117.48f; cc_entrypoint=cli; cch={cch};")
    }

    #[test]
    fn lines_and_whole_blocks_are_left_out() {
        let text = |text: &str| json!({"type": "text", "text": text});
        let mut system = json!([text(&line("71fea")), text("You are an agent.")]);
        assert_eq!(leave_out(&mut system), 1);
        assert_eq!(system, json!([text("You are an agent.")]));
        let mut system = Value::from(format!("{}\n  You are an agent.\n", line("0aaa9")));
        assert_eq!(leave_out(&mut system), 1);
        assert_eq!(system, "  You are an agent.\n");
        let mut system = json!([text(&format!("A\n{}\nB", line("1")))]);
        assert_eq!(leave_out(&mut system), 1);
        assert_eq!(system, json!([text("A\nB")]));
    }

    #[test]
    fn what_only_mentions_it_stays() {
        let said = format!("Never print {MARK} to anybody.");
        for mut system in [
            json!(said),
            json!([{"type": "text", "text": said}]),
            json!(7),
        ] {
            let before = system.clone();
            assert_eq!(leave_out(&mut system), 0);
            assert_eq!(system, before);
        }
    }
}
