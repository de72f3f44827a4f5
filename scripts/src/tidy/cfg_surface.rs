//! Conditional compilation appears only where backends and optional parts are declared, so that
//! nobody has to read the rest of the code once per feature.

/// Files that declare backends, or the optional parts of a crate; beside the roots of its tests.
const DECLARING: [&str; 2] = ["kernels/src/lib.rs", "models/src/lib.rs"];

/// Complaints about `cfg(feature ..)` and `cfg(target ..)` elsewhere.
pub fn check(path: &str, source: &str) -> Vec<String> {
    let declares = DECLARING.contains(&path) || path.ends_with("tests/it/main.rs");
    if declares || path.starts_with("scripts/") {
        return Vec::new();
    }
    source
        .lines()
        .enumerate()
        .filter(|(_, line)| {
            let conditional = ["cfg(", "cfg_attr(", "cfg!("]
                .iter()
                .any(|word| line.contains(word));
            conditional
                && ["feature", "target_"]
                    .iter()
                    .any(|word| line.contains(word))
        })
        .map(|(index, _)| {
            format!(
                "{path}:{}: cfg of a feature or target belongs where backends are declared: {}",
                index + 1,
                DECLARING.join(", ")
            )
        })
        .collect()
}
