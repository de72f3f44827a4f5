//! What each level keeps and leaves out.

use serde_json::Value;

use super::*;

fn is_json(text: &str) -> bool {
    let is_json = |text: &str| serde_json::from_str::<Value>(text).is_ok();
    is_json(text) || text.lines().all(is_json)
}

#[test]
fn every_level_has_at_most_the_tokens_of_the_one_before() {
    for seed in [3, 77, 901] {
        for lines in [12, 90, 600] {
            for (name, text) in corpus(seed, lines) {
                let focus = Focus::new("why does the ledger socket close?");
                let mut before = count(&text);
                for (level, all) in Level::ALL
                    .into_iter()
                    .zip(shrink_all(&text, &focus, &count))
                {
                    let place = format!("{name}, {lines} lines, seed {seed}, {}", level.name());
                    let one = shrink(&text, level, &focus, &count);
                    assert_eq!(one, all.map(|all| (all.text, all.tokens)), "{place}");
                    let Some((short, tokens)) = one else {
                        continue;
                    };
                    assert_eq!(tokens, count(&short), "{place}");
                    assert!(tokens < count(&text), "{place}");
                    assert!(tokens <= before, "{place}: {tokens} after {before}");
                    assert!(!is_json(&text) || is_json(&short), "{place}: {short}");
                    before = tokens;
                }
            }
        }
    }
}

#[test]
fn long_results_become_short() {
    for (name, text) in corpus(5, 600) {
        if matches!(name, "short" | "empty") {
            continue;
        }
        let all = shrink_all(&text, &none(), &count);
        let tokens = all.map(|level| level.map_or(count(&text), |level| level.tokens));
        println!("{name}: {} -> {tokens:?}", count(&text));
        assert!(
            tokens[4] * 4 < count(&text),
            "{name}: {tokens:?} of {}",
            count(&text)
        );
    }
}

#[test]
fn the_lossless_levels_change_nothing_twice() {
    for (name, text) in corpus(11, 200) {
        for level in [Level::Redundancy, Level::Structure] {
            if let Some(short) = compress(&text, level, &none()) {
                let again = compress(&short, level, &none());
                assert_eq!(again, None, "{name}, {}: {short}", level.name());
            }
        }
    }
}

#[test]
fn errors_stay_in_a_mined_log() {
    let text = corpus::log(&mut Rng(4), 400);
    let short = compress(&text, Level::Structure, &none()).unwrap();
    assert!(
        short.len() * 3 < text.len(),
        "{} of {}",
        short.len(),
        text.len()
    );
    for line in text.lines().filter(|line| line.contains("ERROR")) {
        assert!(short.contains(line), "{line}");
    }
    let last = text.lines().rfind(|line| line.contains("served")).unwrap();
    assert!(short.contains(last), "the last line of a template stays");
    let left_out: usize = short
        .lines()
        .filter_map(|line| {
            line.strip_prefix("[... ")?
                .split(' ')
                .next()?
                .parse::<usize>()
                .ok()
        })
        .sum();
    let kept = short
        .lines()
        .filter(|line| !line.starts_with("[... "))
        .count();
    assert_eq!(
        kept + left_out,
        text.lines().count(),
        "every line is kept or counted"
    );
}

#[test]
fn source_code_is_no_log() {
    let text = corpus::source(&mut Rng(4), 60);
    let inner: Vec<&str> = text.lines().filter(|line| line.contains("fn ")).collect();
    let short = compress(&text, Level::Redundancy, &none()).unwrap_or(text.clone());
    assert!(inner.iter().all(|line| short.contains(line)));
}

#[test]
fn key_lines_are_errors_ends_focus_and_their_gaps_add_up() {
    let mut lines: Vec<String> = (0..500)
        .map(|i| format!("plain {}", "word ".repeat(i % 7 + 3)))
        .collect();
    lines[250] = "the frobnicator of module zeta has its own opinion".to_owned();
    lines[333] = "RuntimeError: connection reset by peer".to_owned();
    lines[400] = "see src/pay/ledger_k3.rs:214 for it".to_owned();
    let text = lines.join("\n");
    let short = key_lines::selected(&text, &Focus::new("What is the frobnicator?"), 1200, false);
    assert!(short.len() <= 1300, "{}", short.len());
    for wanted in [0, 250, 333, 400, 499] {
        assert!(short.contains(&lines[wanted]), "{wanted}: {short}");
    }
    let left_out: usize = short
        .lines()
        .filter_map(|line| {
            line.strip_prefix("[... ")?
                .split(' ')
                .next()?
                .parse::<usize>()
                .ok()
        })
        .sum();
    let kept = short
        .lines()
        .filter(|line| !line.starts_with("[... "))
        .count();
    assert_eq!(kept + left_out, 500, "{short}");
    let blind = key_lines::selected(&text, &none(), 1200, false);
    assert!(!blind.contains("frobnicator"), "only the focus keeps it");
}

/// A report in paragraphs of several sentences, and what it names.
fn report() -> (String, [&'static str; 2]) {
    let named = [
        "The log file of the run is /var/log/key/bell17.log.",
        "Its badge code is ZQ-1263.",
    ];
    let filler = "The quiet lake seemed warm to the visitors. Nobody painted the fence that day.";
    let paragraph = format!("{filler} {filler} {filler}");
    let text = format!(
        "{paragraph}\n{filler} {} {filler}\n{paragraph}\n{filler} {} {filler}\n{paragraph}",
        named[0], named[1]
    );
    (text, named)
}

#[test]
fn key_sentences_and_a_skeleton_of_prose_have_what_it_names() {
    let (text, named) = report();
    for (level, least) in [(Level::KeyLines, 2), (Level::Skeleton, 5)] {
        let short = compress(&text, level, &none()).unwrap();
        for sentence in named {
            assert!(short.contains(sentence), "{}: {short}", level.name());
        }
        assert!(
            short.len() * least < text.len(),
            "{} of {}: {short}",
            short.len(),
            text.len()
        );
    }
}

#[test]
fn a_thousand_like_errors_do_not_crowd_out_another_one() {
    let mut text: String = (0..1000)
        .map(|i| format!("E{} error: timeout of host {i}\n", 1000 + i))
        .collect();
    text.insert_str(text.len() / 2, "\nfatal: disk full on /var\n");
    let short = compress(&text, Level::KeyLines, &none()).unwrap();
    assert!(short.contains("fatal: disk full on /var"), "{short}");
    let short = compress(&text, Level::Skeleton, &none()).unwrap();
    assert!(short.contains("fatal: disk full on /var"), "{short}");
}

#[test]
fn counts_of_no_errors_are_no_alarm() {
    for line in [
        "0 errors, 0 warnings",
        "no failures",
        "errors: 0",
        "terror",
        "errorless",
    ] {
        assert!(!is_alarm(line), "{line}");
    }
    for line in [
        "error: x",
        "2 failed, 0 errors",
        "TypeError: y",
        "FATAL z",
        "E4471 when TLS on",
    ] {
        assert!(is_alarm(line), "{line}");
    }
}

#[test]
fn json_key_items_are_those_with_errors_and_focus() {
    let items: Vec<String> = (0..200)
        .map(|i| match i {
            77 => r#"{"id":77,"note":"payment refused"}"#.to_owned(),
            120 => r#"{"id":120,"note":"about the frobnicator"}"#.to_owned(),
            _ => format!(r#"{{"id":{i},"note":"fine"}}"#),
        })
        .collect();
    let text = format!("[{}]", items.join(","));
    let short = compress(&text, Level::KeyLines, &Focus::new("frobnicator")).unwrap();
    let expected = concat!(
        r#"{"columns":["id","note"],"rows":[[0,"fine"],[1,"fine"],[2,"fine"],"#,
        r#""[... 74 items left out]",[77,"payment refused"],"[... 42 items left out]","#,
        r#"[120,"about the frobnicator"],"[... 77 items left out]",[198,"fine"],[199,"fine"]]}"#,
    );
    assert_eq!(short, expected);
}

#[test]
fn a_skeleton_of_json_has_keys_counts_types_and_errors() {
    let text = corpus::records(&mut Rng(9), 120);
    let short = shape::shape(&json::read(&text).unwrap()).minified();
    let expected = concat!(
        r#"{"left_out":"600 values","skeleton":["120 items",{"id":"integer","name":"string","#,
        r#""price":"number","status":"string","error":"E4471 connection refused"}]}"#,
    );
    assert_eq!(short, expected);
}

#[test]
fn a_skeleton_of_a_table_has_its_header_and_types() {
    let text = corpus(8, 50)
        .into_iter()
        .find(|(name, _)| *name == "csv")
        .unwrap()
        .1;
    let short = outline::skeleton(&text, &none());
    let mut lines = short.lines();
    assert_eq!(lines.next(), Some("id,name,amount,comment"));
    assert_eq!(short.lines().rev().nth(1), Some("[... 48 rows left out]"));
    assert_eq!(
        short.lines().last(),
        Some("types: integer,text,number,text")
    );
}

#[test]
fn a_diff_loses_context_before_changes() {
    let text = corpus(8, 100)
        .into_iter()
        .find(|(name, _)| *name == "diff")
        .unwrap()
        .1;
    let short = compress(&text, Level::Structure, &none()).unwrap();
    for line in text
        .lines()
        .filter(|line| line.starts_with(['+', '-', '@']))
    {
        assert!(short.contains(line), "{line}");
    }
    let context = text
        .lines()
        .filter(|line| line.starts_with(' ') || line.starts_with("index"));
    let kept = short.lines().filter(|line| line.starts_with(' ')).count();
    let left_out = context.count() - kept;
    assert!(
        short.ends_with(&format!("[... {left_out} context lines left out]")),
        "{short}"
    );
}

#[test]
fn fitted_texts_fit_and_use_the_room() {
    for (name, text) in corpus(21, 400) {
        let all = count(&text);
        for max_tokens in [0, 1, 8, 12, 20, 60, 200, 1000, 4000] {
            let focus = Focus::new("which worker failed?");
            let fitted = fit(&text, max_tokens, &focus, &count);
            let place = format!("{name} of {all} in {max_tokens}");
            if all <= max_tokens {
                assert_eq!(fitted, None, "{place}");
                continue;
            }
            let Some(fitted) = fitted else {
                assert!(max_tokens < 20, "{place}: nothing fits");
                continue;
            };
            assert_eq!(fitted.tokens, count(&fitted.text), "{place}");
            assert!(fitted.tokens <= max_tokens, "{place}");
            assert!(
                !is_json(&text) || is_json(&fitted.text),
                "{place}: {}",
                fitted.text
            );
            let uses = |share: usize| fitted.tokens * 100 >= max_tokens * share;
            // Blank and repeated text is all there in few tokens.
            if max_tokens >= 200 && !matches!(name, "repeats" | "blank") {
                let is_fitted = fitted.level == Level::KeyLines || fitted.level == Level::HeadTail;
                assert!(!is_fitted || uses(40), "{place}: {}", fitted.tokens);
            }
        }
    }
}
