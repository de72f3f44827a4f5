use clap::Parser;

use super::Plan;
use crate::bench::LoadArgs;
use crate::bench::prompt::PromptForm;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: LoadArgs,
}

fn args(options: &str) -> LoadArgs {
    Cli::parse_from(["load"].into_iter().chain(options.split_whitespace())).args
}

fn form() -> PromptForm {
    PromptForm::TokenIds((0..500).collect())
}

#[test]
fn the_same_seed_plans_the_same_and_another_one_does_not() {
    let args = args("--num-prompts 50 --request-rate 5 --input-len 5..90 --prefix-len 9");
    let plan = |seed: u64| -> Vec<_> {
        Plan::new(&args, form(), seed)
            .map(|planned| (planned.at, planned.asked.input_len, planned.prompt))
            .collect()
    };
    assert_eq!(plan(1).len(), 50);
    assert_eq!(plan(1), plan(1));
    assert_ne!(plan(1), plan(2));
}

#[test]
fn prompts_have_the_asked_length_behind_their_groups_prefix() {
    let args = args("--num-prompts 200 --input-len 5..90 --prefix-len 30 --prefix-groups 4");
    let planned: Vec<_> = Plan::new(&args, form(), 3).collect();
    let mut groups = [0; 4];
    for one in &planned {
        assert_eq!(one.prompt.len(), 30 + one.asked.input_len as usize);
        groups[one.asked.prefix_group.unwrap() as usize] += 1;
        for other in &planned {
            let same = one.asked.prefix_group == other.asked.prefix_group;
            assert_eq!(one.prompt[..30] == other.prompt[..30], same);
        }
    }
    assert!(groups.iter().all(|&count| count > 25), "{groups:?}");
}
