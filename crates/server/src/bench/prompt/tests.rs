use std::collections::HashSet;

use super::{PromptForm, PromptSource, WordRate};
use crate::bench::ttft::HitRate;
use crate::measure::words::WORDS;

const LEN: usize = 200;

fn rate(percent: &str) -> HitRate {
    percent.parse().unwrap()
}

fn ids() -> PromptForm {
    PromptForm::TokenIds((1000..1100).collect())
}

fn words() -> PromptForm {
    PromptForm::Words(WordRate::UNKNOWN)
}

fn shared(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[test]
fn a_pair_shares_the_asked_prefix_and_not_a_unit_more() {
    let check = |percent: &str, prefix: usize| {
        for form in [ids(), words()] {
            let mut source = PromptSource::new(form, 5);
            for _ in 0..20 {
                let pair = source.pair(rate(percent), LEN);
                let warming = pair.warming.expect("a prefix is warmed");
                assert_eq!((warming.len(), pair.measured.len()), (LEN, LEN));
                assert_eq!(shared(&warming, &pair.measured), prefix, "at {percent} %");
                assert_eq!(pair.prefix, prefix);
            }
        }
    };
    check("25", 50);
    check("50", 100);
    check("99", 198);
    check("0.6", 1);
    // Rounding up never makes the prompts the same: only 100 % does.
    check("99.9", 199);
    check("100", LEN);
}

#[test]
fn nothing_is_warmed_for_a_cold_prompt() {
    let mut source = PromptSource::new(ids(), 5);
    assert_eq!(source.pair(rate("0"), LEN).warming, None);
    assert_eq!(source.pair(rate("0.1"), LEN).warming, None);
}

#[test]
fn tails_in_words_begin_with_different_letters() {
    let mut source = PromptSource::new(words(), 9);
    for _ in 0..200 {
        let pair = source.pair(rate("50"), LEN);
        let initial = |prompt: &[u32]| WORDS[prompt[pair.prefix] as usize].as_bytes()[0];
        assert_ne!(initial(&pair.warming.unwrap()), initial(&pair.measured));
    }
}

#[test]
fn no_two_prompts_begin_alike_while_units_last() {
    let mut source = PromptSource::new(ids(), 1);
    let heads: HashSet<u32> = (0..100).map(|_| source.fresh(LEN)[0]).collect();
    assert_eq!(heads.len(), 100);
}

#[test]
fn prompts_depend_on_the_seed_only() {
    let draw = |seed| {
        let mut source = PromptSource::new(ids(), seed);
        (
            source.pair(rate("50"), LEN),
            source.order(&[rate("0"), rate("1"), rate("2")]),
        )
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1).0, draw(2).0);
}

#[test]
fn ids_and_words_become_json() {
    assert_eq!(ids().render(&[0, 99, 7]).to_string(), "[1000,1099,1007]");
    let text = words().render(&[0, 1]);
    assert_eq!(text, format!("{} {}", WORDS[0], WORDS[1]));
}

#[test]
fn words_are_counted_by_the_line_through_two_counts() {
    // 10 tokens of template and 1.5 tokens per word.
    let rate = WordRate::through((40, 70), (160, 250));
    assert_eq!(
        rate,
        WordRate {
            offset: 10.0,
            per_word: 1.5
        }
    );
    assert_eq!(PromptForm::Words(rate).units_for(2000), 1327);
    assert_eq!(PromptForm::Words(rate).units_for(3), 2);
    assert_eq!(WordRate::through((40, 70), (160, 70)), WordRate::UNKNOWN);
}

#[test]
fn words_differ_and_have_many_initials() {
    assert_eq!(WORDS.iter().collect::<HashSet<_>>().len(), WORDS.len());
    let initials: HashSet<u8> = WORDS.iter().map(|word| word.as_bytes()[0]).collect();
    assert!(initials.len() >= 20, "{initials:?}");
}
