use std::path::Path;

use crate::source::HubOptions;

fn options(variables: &[(&str, &str)]) -> HubOptions {
    HubOptions::from_lookup(|name| {
        let variable = variables.iter().find(|(known, _)| *known == name);
        variable.map(|(_, value)| (*value).to_owned())
    })
}

fn cache(variables: &[(&str, &str)]) -> Option<String> {
    let folder = options(variables).cache_dir?;
    Some(folder.to_str().unwrap().to_owned())
}

#[test]
fn cache_folder_is_the_one_that_other_tools_use() {
    let home = ("HOME", "/users/ada");
    let xdg = ("XDG_CACHE_HOME", "/var/caches");
    let hf_home = ("HF_HOME", "~/hf");
    let old = ("HUGGINGFACE_HUB_CACHE", "/old");
    let hub = ("HF_HUB_CACHE", "~/models");
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);
    let cases: [Case<'_>; 8] = [
        (&[], None),
        (&[home], Some("/users/ada/.cache/huggingface/hub")),
        (&[home, xdg], Some("/var/caches/huggingface/hub")),
        (&[home, xdg, hf_home], Some("/users/ada/hf/hub")),
        (&[home, xdg, hf_home, old], Some("/old")),
        (&[home, xdg, hf_home, old, hub], Some("/users/ada/models")),
        (
            &[home, ("HF_HOME", "")],
            Some("/users/ada/.cache/huggingface/hub"),
        ),
        (&[home, ("HF_HOME", "~other/hf")], Some("~other/hf/hub")),
    ];
    for (variables, expected) in cases {
        assert_eq!(cache(variables).as_deref(), expected, "{variables:?}");
    }
}

#[test]
fn token_comes_from_the_variable_or_the_file_of_a_login() {
    let folder = tempfile::tempdir().unwrap();
    let home = ("HF_HOME", folder.path().to_str().unwrap());
    assert_eq!(options(&[home]).token, None);

    std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
    assert_eq!(options(&[home]).token.as_deref(), Some("hf_file"));
    let variable = ("HF_TOKEN", " hf_variable\n");
    let token = options(&[home, variable]).token;
    assert_eq!(token.as_deref(), Some("hf_variable"));
    let disabled = ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
    assert_eq!(options(&[home, variable, disabled]).token, None);

    let other = folder.path().join("other");
    std::fs::write(&other, "hf_other").unwrap();
    let path = ("HF_TOKEN_PATH", other.to_str().unwrap());
    assert_eq!(options(&[home, path]).token.as_deref(), Some("hf_other"));
    std::fs::write(&other, "\n").unwrap();
    assert_eq!(options(&[home, path]).token, None);
}

#[test]
fn switches_take_the_documented_spellings() {
    for (value, expected) in [
        ("1", true),
        ("ON", true),
        ("Yes", true),
        ("true", true),
        ("0", false),
        ("off", false),
        ("", false),
        ("2", false),
    ] {
        assert_eq!(
            options(&[("HF_HUB_OFFLINE", value)]).offline,
            expected,
            "{value:?}"
        );
        let bars = options(&[("HF_HUB_DISABLE_PROGRESS_BARS", value)]).progress_bar;
        assert_eq!(bars, !expected, "{value:?}");
    }
    assert!(options(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]).offline);
}

#[test]
fn endpoint_is_passed_on_and_revision_left_to_the_caller() {
    let options = options(&[("HF_ENDPOINT", "https://hub.example")]);
    assert_eq!(options.endpoint.as_deref(), Some("https://hub.example"));
    assert_eq!(options.revision, None);
    assert_eq!(options.cache_dir.as_deref(), None::<&Path>);
}
