use super::*;

fn selection(names: &[&str]) -> Result<Selection, Unreadable> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    select(&names, None)
}

#[test]
fn takes_what_a_model_needs_and_no_second_copy_of_the_weights() {
    let selection = selection(&[
        ".gitattributes",
        "README.md",
        "additional_chat_templates/rag.jinja",
        "additional_chat_templates/deep/er.jinja",
        "chat_template.jinja",
        "config.json",
        "consolidated.safetensors",
        "generation_config.json",
        "merges.txt",
        "model.safetensors",
        "model-Q4_K_M.gguf",
        "onnx/config.json",
        "onnx/model.onnx",
        "original/consolidated.00.pth",
        "pytorch_model.bin",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_args.bin",
    ])
    .unwrap();
    let small = [
        "additional_chat_templates/rag.jinja",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(selection.small, small);
    let file = "model.safetensors".to_owned();
    assert_eq!(selection.weights, Weights::Safetensors(file));
}

#[test]
fn an_index_stands_for_its_shards() {
    let selection = selection(&[
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors",
        INDEX,
    ])
    .unwrap();
    assert_eq!(selection.small, ["config.json", INDEX]);
    assert_eq!(selection.weights, Weights::Shards);
}

#[test]
fn says_which_formats_are_there_instead() {
    let names = ["config.json", "a.onnx", "pytorch_model.bin"];
    let expected = Unreadable::NoWeights(vec!["PyTorch .bin", "ONNX"]);
    assert_eq!(selection(&names), Err(expected));
    let expected = Unreadable::NoWeights(vec!["safetensors of another layout"]);
    assert_eq!(selection(&["consolidated.safetensors"]), Err(expected));
    let expected = Unreadable::NoWeights(Vec::new());
    assert_eq!(selection(&["README.md"]), Err(expected));
    let expected = Unreadable::Missing("config.json");
    assert_eq!(selection(&["model.safetensors"]), Err(expected));
}

#[test]
fn shards_are_files_beside_the_index() {
    let index = br#"{"metadata": {}, "weight_map": {"b": "2.safetensors", "a": "1.safetensors",
        "c": "1.safetensors"}}"#;
    assert_eq!(shards(index).unwrap(), ["1.safetensors", "2.safetensors"]);
    for name in [
        "../x",
        "/etc/passwd",
        "a/b",
        "",
        ".hidden",
        "a\\\\b",
        "a\\u0000b",
    ] {
        let index = format!(r#"{{"weight_map": {{"a": "{name}"}}}}"#);
        let reason = shards(index.as_bytes()).unwrap_err();
        assert!(
            reason.contains("not the name of a file"),
            "{name}: {reason}"
        );
    }
    assert!(shards(br#"{"weight_map": {}}"#).is_err());
    assert!(shards(b"[]").is_err());
}

#[test]
fn gguf_files_need_no_configuration() {
    let names = [
        "config.json",
        "m-Q4_K_M.gguf",
        "m-Q8_0.gguf",
        "tokenizer.json",
    ];
    let names = names.map(str::to_owned);
    for (asked, file) in [(None, "m-Q4_K_M.gguf"), (Some("Q8_0"), "m-Q8_0.gguf")] {
        let selection = select(&names, asked).unwrap();
        assert_eq!(selection.weights, Weights::Gguf(vec![file.to_owned()]));
        assert_eq!(selection.small, ["tokenizer.json"]);
    }
    let files = vec!["m-Q4_K_M.gguf".to_owned(), "m-Q8_0.gguf".to_owned()];
    let expected = Unreadable::NoSuchGguf(files);
    assert_eq!(select(&names, Some("Q6_K")), Err(expected));
}
