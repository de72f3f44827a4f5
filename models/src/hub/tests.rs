use super::{is_repo, is_revision};

#[test]
fn ids_of_repositories_are_those_of_the_hub() {
    for repo in ["gpt2", "org/name", "Qwen/Qwen3-0.6B", "a/b_c.d-e"] {
        assert!(is_repo(repo), "{repo}");
    }
    let long = format!("org/{}", "n".repeat(MAX_NAME));
    for repo in [
        "", "/", "org/", "/name", "a/b/c", "../x", "a/..", "a--b/c", "a/b--c", "a/.b", "a/-b",
        "a/b.", "a b/c", "a/b?c", "a\\b", "ä/b", &long,
    ] {
        assert!(!is_repo(repo), "{repo}");
    }
}

/// One more than fits after `org/`.
const MAX_NAME: usize = 93;

#[test]
fn revisions_stay_in_the_folder_of_references() {
    for revision in ["main", "v1.0", "refs/pr/3", "feature/x-y", "0123abcd"] {
        assert!(is_revision(revision), "{revision}");
    }
    for revision in [
        "", "/etc", "a/", "a//b", "..", "a/../b", ".hidden", "a/.b", "a b", "a\nb", "a\\b", "a:b",
    ] {
        assert!(!is_revision(revision), "{revision:?}");
    }
}
