use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Texts of the whole that are figures or references.
fn texts<'a>(value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str() {
                    Some(text) => found.push((name, text)),
                    None => texts(field, found),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn every_file_is_a_part_and_says_nothing_twice() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi");
    let files = std::fs::read_dir(folder).expect("a folder");
    assert_eq!(files.count(), PARTS.len());
    let mut said = BTreeMap::new();
    for (number, part) in PARTS.iter().enumerate() {
        let part: Value = serde_json::from_str(part).expect("JSON");
        let components = part["components"].as_object().into_iter().flatten();
        let lists = [
            ("paths", &part["paths"]),
            ("groups", &part["x-field-groups"]),
        ];
        let lists = lists.into_iter();
        for (list, named) in lists.chain(components.map(|(name, list)| (name.as_str(), list))) {
            for name in named
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name)
            {
                let name = format!("{list} {name}");
                assert_eq!(said.insert(name.clone(), number), None, "{name}");
            }
        }
    }
    let lines = PARTS.map(|part| part.lines().count());
    assert!(lines.iter().all(|&lines| lines < 500), "{lines:?}");
}

#[test]
fn references_and_groups_are_there_and_used() {
    let mut found = Vec::new();
    texts(&TEMPLATE, &mut found);
    let mut used = BTreeSet::new();
    for (name, text) in found {
        assert!(!name.starts_with("x-properties"), "{text}");
        if name == "$ref" {
            let pointer = text.strip_prefix('#').expect("a place in the document");
            assert!(TEMPLATE.pointer(pointer).is_some(), "{text}");
            used.insert(text);
        }
    }
    for list in ["schemas", "headers"] {
        for (name, _) in TEMPLATE["components"][list].as_object().expect("a list") {
            let place = format!("#/components/{list}/{name}");
            assert!(used.contains(place.as_str()), "nothing refers to {place}");
        }
    }
    let all = PARTS.map(|part| serde_json::from_str::<Value>(part).expect("JSON"));
    let text = json!(all).to_string();
    for part in &all {
        for (group, _) in part["x-field-groups"].as_object().into_iter().flatten() {
            let named = text.split("\"x-properties-of\":[").skip(1);
            let mut named = named.filter_map(|rest| rest.split(']').next());
            assert!(
                named.any(|names| names.contains(&format!("\"{group}\""))),
                "{group}"
            );
        }
    }
}

#[test]
fn own_fields_come_before_those_of_groups() {
    let groups = json!({"Both": {"a": {"const": 1}, "b": {"const": 2}}});
    let mut schema = json!({"x-properties-of": ["Both"], "properties": {"b": {"const": 3}}});
    add_fields(&mut schema, &groups);
    let expected = json!({"properties": {"b": {"const": 3}, "a": {"const": 1}}});
    assert_eq!(schema.to_string(), expected.to_string());
}
