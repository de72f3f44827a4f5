//! Every dependency's licence against the list in `deny.toml`.
//!
//! The file has cargo-deny's format, so that `cargo deny check licenses` judges alike where it is
//! installed; this check needs nothing but the lock file's packages.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use cargo_metadata::MetadataCommand;
use serde::Deserialize;

use crate::tree::Tree;

#[derive(Deserialize)]
struct DenyFile {
    licenses: Licences,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

/// Checks all packages of the lock file.
///
/// # Errors
/// When a package has a licence that is not allowed, or none.
pub fn run(tree: &Tree) -> anyhow::Result<()> {
    let deny: DenyFile = toml::from_str(&tree.read("deny.toml")?).context("reading deny.toml")?;
    let metadata = MetadataCommand::new()
        .manifest_path(tree.root().join("Cargo.toml"))
        .exec()
        .context("running cargo metadata")?;
    let mut complaints = Vec::new();
    let mut checked = 0;
    for package in metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some())
    {
        checked += 1;
        if let Err(reason) = judge(package.license.as_deref(), &deny.licenses.allow) {
            complaints.push(format!("{} {}: {reason}", package.name, package.version));
        }
    }
    for complaint in &complaints {
        println!("licences: {complaint}");
    }
    if !complaints.is_empty() {
        bail!(
            "{} packages with licences that deny.toml does not allow",
            complaints.len()
        );
    }
    println!("licences: ok, {checked} packages");
    Ok(())
}

/// Whether `expression` (SPDX) can be satisfied with the allowed licences.
///
/// # Errors
/// With the reason, when it cannot.
pub fn judge(expression: Option<&str>, allowed: &BTreeSet<String>) -> Result<(), String> {
    let expression = expression.ok_or("it names no licence")?;
    let parsed = spdx::Expression::parse_mode(expression, spdx::ParseMode::LAX)
        .map_err(|error| format!("{expression}: {}", error.reason))?;
    let satisfied = parsed.evaluate(|requirement| allowed.contains(&requirement.to_string()));
    if satisfied {
        Ok(())
    } else {
        Err(format!("{expression} is not allowed"))
    }
}
