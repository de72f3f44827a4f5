//! What is chosen for a number of tokens.

use super::*;

/// The most that documents of these (tokens, value) are worth together in `cap` tokens: exact.
fn best_worth(sizes: &[(usize, f64)], cap: usize) -> f64 {
    let mut best = vec![0.0_f64; cap + 1];
    for (tokens, value) in sizes {
        for room in (*tokens..=cap).rev() {
            best[room] = best[room].max(best[room - tokens] + value);
        }
    }
    best[cap]
}

/// Texts without a word in common, of random lengths; a few are large.
fn texts(draws: &mut Draws, documents: u64) -> Vec<String> {
    (0..documents)
        .map(|d| {
            let words = if draws.below(4) == 0 {
                30 + draws.below(40)
            } else {
                1 + draws.below(12)
            };
            let words: Vec<String> = (0..words).map(|w| format!("word{d}x{w}")).collect();
            words.join(" ")
        })
        .collect()
}

/// (worst, mean) of the choice's worth over the optimum's, for 400 random instances.
fn ratios(kappa: f64) -> (f64, f64) {
    let mut ratios = Vec::new();
    for seed in 0..400 {
        let mut draws = Draws(seed);
        let count_of = 2 + draws.below(14);
        let texts = texts(&mut draws, count_of);
        let ids: Vec<String> = (0..texts.len()).map(|i| format!("d{i}")).collect();
        let documents: Vec<Document<'_>> = texts
            .iter()
            .zip(&ids)
            .map(|(text, id)| {
                let mut document = document(id, text, Some(0.01 + 0.99 * draws.unit()));
                document.cached = draws.below(document.tokens as u64 + 1) as usize;
                document
            })
            .collect();
        let cap = 20 + draws.below(80) as usize;
        let selection = select_documents(&RetrievalInput {
            kappa,
            ..input(&documents, "", cap)
        })
        .expect("scores are in range");
        let whole: usize = selection.kept.iter().map(|kept| kept.tokens).sum();
        assert!(whole <= cap && whole == selection.tokens, "seed {seed}");
        assert_eq!(
            selection.kept.len() + selection.dropped.len(),
            documents.len()
        );
        let sizes: Vec<(usize, f64)> = documents
            .iter()
            .map(|d| {
                (
                    d.tokens,
                    d.score.unwrap() * (0.5 + 0.5 * text_density(d.text, d.tokens)),
                )
            })
            .collect();
        let best = best_worth(&sizes, cap);
        if best > 0.0 {
            let worth: f64 = selection.kept.iter().map(|kept| kept.value).sum();
            ratios.push(worth / best);
        }
    }
    let worst = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    (worst, ratios.iter().sum::<f64>() / ratios.len() as f64)
}

#[test]
fn choice_is_worth_half_the_optimum() {
    let (worst, mean) = ratios(0.0);
    println!("of the optimum: worst {worst:.3}, mean {mean:.3}");
    assert!(worst >= 0.5 && mean > 0.9, "worst {worst}, mean {mean}");
}

#[test]
fn price_of_uncached_tokens_costs_no_more_than_its_share() {
    for kappa in [0.5, 2.0] {
        let (worst, _) = ratios(kappa);
        println!("kappa {kappa}: worst {worst:.3}");
        assert!(worst >= 0.5 / (1.0 + kappa), "kappa {kappa}: worst {worst}");
    }
}

#[test]
fn one_large_document_beats_a_small_one_of_better_rate() {
    let large = (0..50)
        .map(|w| format!("w{w}"))
        .collect::<Vec<_>>()
        .join(" ");
    let documents = [
        document("small", "tiny1 note2", Some(0.1)),
        document("large", &large, Some(1.0)),
    ];
    let selection = select_documents(&input(&documents, "", 50)).unwrap();
    assert_eq!(kept_ids(&selection), ["large"]);
    assert_eq!(selection.dropped[0].reason, DropReason::NoRoom);
}

#[test]
fn cached_document_wins_over_an_equal_one() {
    let mut documents = [
        document("cold", "alpha1 beta2 gamma3 delta4", Some(0.6)),
        document("warm", "one1 two2 three3 four4", Some(0.5)),
    ];
    documents[1].cached = 4;
    let indifferent = select_documents(&input(&documents, "", 4)).unwrap();
    assert_eq!(kept_ids(&indifferent), ["cold"]);
    // By value per cost the warm one comes first, and the cold one alone is worth more.
    let documents = [
        documents[0],
        documents[1],
        document("more", "five5 six6 seven7", Some(0.3)),
    ];
    let selection = select_documents(&RetrievalInput {
        kappa: 1.0,
        ..input(&documents, "", 7)
    })
    .unwrap();
    assert_eq!(kept_ids(&selection), ["warm", "more"]);
    let selection = select_documents(&input(&documents, "", 7)).unwrap();
    assert_eq!(kept_ids(&selection), ["cold", "more"]);
}

#[test]
fn below_the_threshold_is_dropped_though_there_is_room() {
    let documents = [
        document("good", "about one2 thing", Some(0.5)),
        document("bad", "about another3 thing", Some(0.19)),
    ];
    let mut input = input(&documents, "", 1000);
    input.rule.min_score = 0.2;
    let selection = select_documents(&input).unwrap();
    assert_eq!(kept_ids(&selection), ["good"]);
    assert_eq!(selection.dropped[0].reason, DropReason::BelowMinScore);
    assert_eq!(&*selection.dropped[0].id, "bad");
}

#[test]
fn same_text_is_never_taken_twice() {
    let text = "the port was changed to 9017 on Monday because 8123 was taken";
    let documents = [
        document("a", text, Some(0.9)),
        document("b", text, Some(0.9)),
        document(
            "c",
            "something else was said about the proxy in front",
            Some(0.2),
        ),
    ];
    let selection = select_documents(&input(&documents, "", 1000)).unwrap();
    assert_eq!(kept_ids(&selection), ["a", "c"]);
    assert_eq!(selection.dropped[0].reason, DropReason::Repeats(0));
}

#[test]
fn near_copy_gives_way_to_something_else() {
    let one = "the port of the service was changed from 8123 to 9017 on Monday by the team";
    let two = "the port of the service was changed from 8123 to 9017 on Monday by the boss";
    let other = "certificates expire on the first of May and nobody has the new password yet today";
    let documents = [
        document("one", one, Some(0.9)),
        document("two", two, Some(0.85)),
        document("other", other, Some(0.5)),
    ];
    let selection = select_documents(&input(&documents, "", 32)).unwrap();
    assert_eq!(kept_ids(&selection), ["one", "other"]);
    // 15 and 15 sequences less the last word's: 11 of 13 are shared.
    let all = select_documents(&input(&documents, "", 1000)).unwrap();
    let rate = all.kept[1].value / (0.85 * (0.5 + 0.5 * text_density(two, 16)));
    assert!((rate - (1.0 - 11.0 / 13.0)).abs() < 1e-12, "{rate}");
}

#[test]
fn best_sentences_stand_for_a_document_that_does_not_fit() {
    let text = "The house is old. It was built by monks. The retry limit is 7 since March. \
                Nobody knows why. The retry delay is 30 ms. Gardens surround it.";
    let mut documents = [document("d12", text, Some(0.9))];
    documents[0].source = Some("https://example.org/runbook");
    documents[0].tokens += 3;
    let query = "what is the retry limit and delay";
    let selection = select_documents(&input(&documents, query, 19)).unwrap();
    let kept = &selection.kept[0];
    assert_eq!(
        kept.extract.as_deref(),
        Some("The retry limit is 7 since March. [...] The retry delay is 30 ms.")
    );
    assert_eq!(kept.tokens, 14 + 3);
    assert_eq!(&*kept.citation.id, "d12");
    assert_eq!(
        kept.citation.source.as_deref(),
        Some("https://example.org/runbook")
    );
}

#[test]
fn extract_beats_small_documents_of_little_worth() {
    let long: String = (0..40)
        .map(|s| format!("Sentence {s} is about filler{s} and nothing else. "))
        .chain(["The retry limit is 7.".to_owned()])
        .collect();
    let documents = [
        document("junk", "weather note4 for sunday", Some(0.05)),
        document("long", &long, Some(1.0)),
    ];
    let selection = select_documents(&input(&documents, "retry limit", 10)).unwrap();
    assert_eq!(kept_ids(&selection), ["junk", "long"]);
    assert_eq!(
        selection.kept[1].extract.as_deref(),
        Some("The retry limit is 7.")
    );
    assert_eq!(selection.tokens, 9);
}

#[test]
fn extracts_keep_to_the_cap_and_to_the_text() {
    let mut draws = Draws(7);
    for seed in 0..200 {
        let text: String = (0..1 + draws.below(60))
            .map(|_| {
                [
                    "Ärger",
                    "näht. ",
                    "日本。",
                    " x",
                    "retry",
                    "\n",
                    " limit! ",
                    "a.b ",
                ][draws.below(8) as usize]
            })
            .collect();
        let documents = [document("d", &text, Some(1.0))];
        let cap = draws.below(12) as usize;
        let selection = select_documents(&input(&documents, "retry limit 日本", cap)).unwrap();
        assert!(selection.tokens <= cap, "seed {seed}");
        for extract in selection
            .kept
            .iter()
            .filter_map(|kept| kept.extract.as_ref())
        {
            assert_eq!(count(extract), selection.tokens);
            for part in extract.split(" [...] ") {
                assert!(text.contains(part), "seed {seed}: {part:?} of {text:?}");
            }
        }
    }
}

#[test]
fn floor_is_kept_under_a_smaller_cap() {
    let documents = [document("a", "one1 two2 three3 four4", Some(0.9))];
    let selection = select_documents(&RetrievalInput {
        floor: 4,
        ..input(&documents, "", 1)
    })
    .unwrap();
    assert_eq!((selection.cap, selection.tokens), (4, 4));
    let none = select_documents(&input(&documents, "", 0)).unwrap();
    assert!(none.kept.is_empty());
    assert_eq!(none.dropped[0].reason, DropReason::NoRoom);
}

#[test]
fn diversity_leaves_out_what_says_much_of_the_same() {
    // They share 3 of 9 sequences of five words.
    let documents = [
        document(
            "a",
            "one two three four five six seven alpha beta gamma",
            Some(0.9),
        ),
        document(
            "b",
            "one two three four five six seven delta eta theta",
            Some(0.8),
        ),
    ];
    let mut asked = input(&documents, "", 100);
    let plain = select_documents(&asked).unwrap();
    assert_eq!(kept_ids(&plain), ["a", "b"]);
    asked.rule.diversity = 3.0;
    let diverse = select_documents(&asked).unwrap();
    assert_eq!(kept_ids(&diverse), ["a"]);
    assert_eq!(diverse.dropped[0].reason, DropReason::Repeats(0));
}

#[test]
fn nothing_from_nothing() {
    let selection = select_documents(&input(&[], "anything", 100)).unwrap();
    assert!(selection.kept.is_empty() && selection.dropped.is_empty());
}

#[test]
fn impossible_input_names_the_field() {
    for score in [-0.1, 1.5, f64::NAN, f64::INFINITY] {
        let documents = [
            document("a", "x", Some(0.5)),
            document("b", "y", Some(score)),
        ];
        let error = select_documents(&input(&documents, "", 9))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("documents[1].score"), "{error}");
    }
    let documents = [
        document("a", "x", None),
        document("b", "y", None),
        document("a", "z", None),
    ];
    let error = select_documents(&input(&documents, "", 9)).unwrap_err();
    assert_eq!(
        error,
        RetrievalError::DuplicateId {
            document: 2,
            id: "a".into()
        }
    );
    assert_eq!(error.to_string(), "documents[2].id is used twice: a");
}
