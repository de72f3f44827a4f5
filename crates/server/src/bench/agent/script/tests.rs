use std::collections::HashSet;
use std::time::Duration;

use clap::Parser;

use super::{Line, Script, write};
use crate::bench::AgentArgs;
use crate::bench::prompt::{PromptForm, WordRate};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: AgentArgs,
}

fn scripts(seed: u64) -> (String, Vec<Script>) {
    let options = "agent --agents 3 --system-len 300 --input-len 20..40 --result-len 50..90 \
                   --output-len 3..9 --pause 0.1..0.3";
    let args = Cli::parse_from(options.split_whitespace()).args;
    let (system, scripts) = write(&args, &PromptForm::Words(WordRate::UNKNOWN), seed);
    (system.as_str().unwrap().to_owned(), scripts)
}

fn words(line: &Line) -> usize {
    line.passage.text.as_str().unwrap().split(' ').count()
}

fn facts(line: &Line) -> (Duration, String, u32) {
    (line.pause, line.passage.text.to_string(), line.output_len)
}

#[test]
fn lengths_and_pauses_are_as_asked() {
    let (system, mut scripts) = scripts(7);
    assert_eq!(system.split(' ').count(), 300);
    let mut firsts = HashSet::new();
    for script in &mut scripts {
        let task = script.next_line();
        assert_eq!(task.pause, Duration::ZERO);
        assert_eq!(words(&task), task.passage.tokens as usize);
        assert!((20..=40).contains(&words(&task)));
        let text = task.passage.text.as_str().unwrap().to_owned();
        firsts.insert(text.split(' ').next().unwrap().to_owned());
        for _ in 0..20 {
            let line = script.next_line();
            assert!((100..=300).contains(&line.pause.as_millis()));
            assert!((50..=90).contains(&words(&line)));
            assert!((3..=9).contains(&line.output_len));
        }
    }
    assert_eq!(firsts.len(), 3, "no two tasks begin alike");
}

#[test]
fn a_script_depends_on_the_seed_and_on_no_other_agent() {
    let lines = |seed, in_turns: bool| -> Vec<_> {
        let (_, mut all) = scripts(seed);
        let order: Vec<usize> = match in_turns {
            true => (0..30).map(|n| n % 3).collect(),
            false => (0..30).map(|n| n / 10).collect(),
        };
        let mut lines = vec![Vec::new(); 3];
        for agent in order {
            lines[agent].push(facts(&all[agent].next_line()));
        }
        lines
    };
    assert_eq!(lines(1, true), lines(1, false));
    assert_ne!(lines(1, true), lines(2, true));
    let one = lines(1, true);
    assert_ne!(one[0], one[1]);
}
