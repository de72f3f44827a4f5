//! The rules of ARCHITECTURE.md and CONTRIBUTING.md that no compiler checks.
//!
//! Each rule is a function from the tree to complaints; a complaint names the place and the way out.

use anyhow::bail;

use crate::tree::Tree;

pub mod cfg_surface;
pub mod edges;
pub mod names;
pub mod sizes;

/// Checks every rule and prints what is wrong.
///
/// # Errors
/// When a rule is broken, or the tree cannot be read.
pub fn run(tree: &Tree) -> anyhow::Result<()> {
    let complaints = complaints(tree)?;
    for complaint in &complaints {
        println!("tidy: {complaint}");
    }
    if !complaints.is_empty() {
        bail!("{} complaints", complaints.len());
    }
    println!("tidy: ok");
    Ok(())
}

/// What every rule has to say about `tree`.
///
/// # Errors
/// When the tree cannot be read.
pub fn complaints(tree: &Tree) -> anyhow::Result<Vec<String>> {
    let mut all = edges::check(tree)?;
    for path in tree.files()? {
        all.extend(names::check_path(&path));
        if path.ends_with(".rs") {
            let source = tree.read(&path)?;
            all.extend(names::check_source(&path, &source));
            all.extend(cfg_surface::check(&path, &source));
            all.extend(sizes::check(&path, &source));
        }
    }
    Ok(all)
}
