//! What claims to lose nothing, taken back.

use serde_json::Value;

use super::decode::{repeated, ungrouped, untabled};
use super::*;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_table_is_the_records_again() {
    for seed in 1..40 {
        let mut rng = Rng(seed);
        let text = corpus::records(&mut rng, 3 + seed as usize);
        let table = compress(&text, Level::Structure, &none()).unwrap();
        assert!(table.len() * 2 < text.len(), "seed {seed}: {table}");
        assert_eq!(untabled(json(&table)), json(&text), "seed {seed}");
    }
}

#[test]
fn an_unlike_item_stays_an_object_and_a_constant_column_is_told_once() {
    let text = concat!(
        r#"[{"a":1,"b":"x","c":[0]},{"c":[0],"a":2,"b":"y"},{"other":true},"#,
        r#"{"a":3,"b":"z","c":[0]}]"#,
    );
    let table = compress(text, Level::Structure, &none()).unwrap();
    let expected =
        r#"{"same":{"c":[0]},"columns":["a","b"],"rows":[[1,"x"],[2,"y"],{"other":true},[3,"z"]]}"#;
    assert_eq!(table, expected);
    assert_eq!(untabled(json(&table)), json(text));
}

#[test]
fn what_could_be_taken_for_a_table_is_left_alone() {
    for text in [
        r#"[{"columns":[1],"rows":[]},{"columns":[2],"rows":[]},{"columns":[3],"rows":[]}]"#,
        r#"[[1,2,3],{"key":1},{"key":2},{"key":3},{"key":4},{"key":5}]"#,
        r#"[{"key":1,"key":2},{"key":1,"key":2},{"key":1,"key":2},{"key":1,"key":2}]"#,
    ] {
        assert_eq!(compress(text, Level::Structure, &none()), None, "{text}");
    }
}

#[test]
fn json_keeps_the_digits_of_numbers_and_the_escapes_of_strings() {
    let text = "{ \"a\" : 1.50e3 , \"b\" : 12345678901234567890 , \"c\" : \"\\u00e9 \\\"x\\\"\" }";
    let expected = r#"{"a":1.50e3,"b":12345678901234567890,"c":"\u00e9 \"x\""}"#;
    assert_eq!(minify(text).as_deref(), Some(expected));
    assert_eq!(minify(expected), None);
    assert_eq!(minify("no json"), None);
}

#[test]
fn what_is_no_json_is_not_read_as_json() {
    for text in [
        "{",
        "[1,]",
        "{\"a\":}",
        "[01]",
        "[1 2]",
        "{'a':1}",
        "[1]x",
        "[\"\u{1}\"]",
        "[.5]",
        "[1.]",
        "[\"\\x\"]",
        "[\"\\u12g4\"]",
        "[nul]",
        "{\"a\" 1}",
        "[-]",
        "[1e]",
    ] {
        assert!(json::parse(text).is_none(), "{text}");
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
    }
    assert!(json::parse(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).is_none());
}

#[test]
fn references_are_the_lines_again() {
    let lines = [
        "alpha line of output",
        "beta line of output",
        "gamma line",
        "}",
        "",
        "delta 4",
    ];
    for seed in 1..300 {
        let mut rng = Rng(seed);
        let text: Vec<&str> = (0..rng.below(80)).map(|_| rng.pick(&lines)).collect();
        let text = text.join("\n");
        if let Some(short) = repeats::referenced(&text) {
            assert_eq!(repeated(&short), text, "seed {seed}");
            assert!(short.len() < text.len());
        }
    }
}

#[test]
fn references_say_how_often_and_from_where() {
    let block = format!(
        "first {0}\nsecond {0}\nthird {0}\n",
        "long line of output ".repeat(5)
    );
    let text = format!("{block}other\n{block}end");
    let expected = format!("{block}other\n[3 lines as from line 1 on]\nend");
    assert_eq!(repeats::referenced(&text), Some(expected));
    let text = "a first line\na second line\na third line\n";
    assert_eq!(
        repeats::referenced(&format!("{text}other\n{text}end")),
        None,
        "too little"
    );
    let text = format!("a\n{}b", "progress is made\n".repeat(30));
    let expected = "a\nprogress is made\n[the line above again, x29]\nb";
    assert_eq!(repeats::referenced(&text).as_deref(), Some(expected));
}

#[test]
fn search_results_have_their_paths_again() {
    for seed in 1..20 {
        let text = corpus::search(&mut Rng(seed), 60);
        let short = matches::grouped(&text).unwrap();
        assert_eq!(ungrouped(&short), text, "seed {seed}");
        assert!(short.len() * 5 < text.len() * 4);
    }
    assert_eq!(matches::grouped("a.rs:1:x\nno match\na.rs:2:y"), None);
    assert_eq!(matches::grouped("10:00:01 a\n10:00:02 b\n10:00:03 c"), None);
}

#[test]
fn terminal_controls_go_and_text_stays() {
    let text =
        "\u{1b}[1;31mred\u{1b}[0m  \r\n\n\n\n10%\r20%\r\n\u{1b}]8;;http://x\u{7}link\u{1b}[K";
    assert_eq!(
        redundancy::plain(text).as_deref(),
        Some("red\n\n10%\n20%\nlink")
    );
    assert_eq!(redundancy::plain("plain\n\ntext\n"), None);
    assert_eq!(redundancy::plain("\u{1b}[12"), Some("[12".to_owned()));
}
