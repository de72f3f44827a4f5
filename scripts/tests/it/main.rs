//! The rules hold for this tree, and each of them can fail.

use std::collections::BTreeSet;

use xtask::tidy::{cfg_surface, edges, names, sizes};
use xtask::tree::Tree;
use xtask::{licences, tidy};

#[test]
fn this_tree_is_tidy() {
    let complaints = tidy::complaints(&Tree::of_workspace().unwrap()).unwrap();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn an_edge_that_the_table_lacks_is_a_complaint() {
    let table = "| crate | may depend on | must not know |\n|---|---|---|\n\
                 | engine | scheduler, models | text |\n| scheduler | - | clock |\n| gone | - | - |\n";
    let allowed = edges::parse_table(table).unwrap();
    assert_eq!(allowed["scheduler"], BTreeSet::new());
    let targets = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let actual = [
        ("engine".to_owned(), targets(&["scheduler", "text"])),
        ("scheduler".to_owned(), BTreeSet::new()),
        ("stray".to_owned(), BTreeSet::new()),
    ];
    let complaints = edges::compare(&allowed, &actual.into());
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    assert!(complaints[0].contains("engine depends on text"));
    assert!(complaints[1].contains("stray is missing"));
    assert!(complaints[2].contains("gone, which is no crate"));
    assert!(edges::parse_table("no table").is_err());
}

#[test]
fn conditional_compilation_outside_the_declaring_files_is_a_complaint() {
    let source = "#[cfg(feature = \"cuda\")]\nmod cuda;\n#[cfg(test)]\nmod tests;\n";
    assert_eq!(
        cfg_surface::check("crates/engine/src/lib.rs", source).len(),
        1
    );
    assert_eq!(cfg_surface::check("kernels/src/lib.rs", source).len(), 0);
    let target = "    if cfg!(target_arch = \"x86_64\") {\n";
    assert_eq!(cfg_surface::check("models/src/decoder.rs", target).len(), 1);
}

#[test]
fn vague_names_and_banned_text_are_complaints() {
    assert_eq!(names::check_path("crates/text/src/utils.rs").len(), 1);
    assert_eq!(names::check_path("crates/common/src/lib.rs").len(), 1);
    assert_eq!(names::check_path("crates/text/src/template.rs").len(), 0);
    let source = "#[ignore]\nfn a() { todo!() }\n#[allow(dead_code)]\nfn b() {}\n";
    assert_eq!(names::check_source("a.rs", source).len(), 3);
}

#[test]
fn long_files_and_functions_are_complaints() {
    let body = "        let x = 1;\n".repeat(80);
    let source = format!("impl A {{\n    pub(crate) fn long() {{\n{body}    }}\n}}\n");
    let complaints = sizes::check("a.rs", &source);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].starts_with("a.rs:2: a function of 82 lines"));
    let declarations = "    fn a(&self);\n".repeat(200);
    assert!(sizes::check("a.rs", &declarations).is_empty());
    assert_eq!(sizes::check("a.rs", &"// x\n".repeat(501)).len(), 1);
}

#[test]
fn licences_are_judged_as_expressions() {
    let allowed: BTreeSet<String> = ["MIT", "Apache-2.0 WITH LLVM-exception"]
        .map(str::to_owned)
        .into();
    assert!(licences::judge(Some("MIT OR GPL-3.0-only"), &allowed).is_ok());
    assert!(licences::judge(Some("MIT/Apache-2.0"), &allowed).is_ok());
    assert!(licences::judge(Some("Apache-2.0 WITH LLVM-exception"), &allowed).is_ok());
    assert!(licences::judge(Some("MIT AND GPL-3.0-only"), &allowed).is_err());
    assert!(licences::judge(None, &allowed).is_err());
}
