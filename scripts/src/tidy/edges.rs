//! Who may depend on whom: the table in ARCHITECTURE.md against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::tree::Tree;

/// Crates that only tools and measurements consist of; the table does not bind them.
const UNBOUND: [&str; 2] = ["benches", "xtask"];

type Edges = BTreeMap<String, BTreeSet<String>>;

/// Compares the table with the manifests.
///
/// # Errors
/// When the table or the manifests cannot be read.
pub fn check(tree: &Tree) -> anyhow::Result<Vec<String>> {
    let allowed = parse_table(&tree.read("ARCHITECTURE.md")?)?;
    Ok(compare(&allowed, &actual_edges(tree)?))
}

/// The edges that the table `| crate | may depend on | ..` allows.
///
/// # Errors
/// When the text holds no such table.
pub fn parse_table(text: &str) -> anyhow::Result<Edges> {
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| crate | may depend on |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    ensure!(
        !rows.is_empty(),
        "ARCHITECTURE.md has no table \"| crate | may depend on |\""
    );
    rows.into_iter()
        .map(|row| {
            let mut cells = row.split('|').skip(1).map(str::trim);
            let name = cells.next().context("a row has a crate")?.to_owned();
            let targets = cells
                .next()
                .with_context(|| format!("the row of {name} has dependencies"))?
                .split(',')
                .map(str::trim)
                .filter(|target| *target != "-")
                .map(str::to_owned)
                .collect();
            Ok((name, targets))
        })
        .collect()
}

/// Complaints about the difference between table and manifests.
pub fn compare(allowed: &Edges, actual: &Edges) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, targets) in actual {
        let Some(allowed) = allowed.get(name) else {
            complaints.push(format!(
                "crate {name} is missing from ARCHITECTURE.md's edge table"
            ));
            continue;
        };
        for target in targets.difference(allowed) {
            complaints.push(format!(
                "{name} depends on {target}, which ARCHITECTURE.md's edge table does not allow"
            ));
        }
    }
    for name in allowed.keys().filter(|name| !actual.contains_key(*name)) {
        complaints.push(format!(
            "ARCHITECTURE.md's edge table names {name}, which is no crate"
        ));
    }
    complaints
}

fn actual_edges(tree: &Tree) -> anyhow::Result<Edges> {
    let metadata = MetadataCommand::new()
        .manifest_path(tree.root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("running cargo metadata")?;
    let members: BTreeSet<String> = metadata
        .packages
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let bound = metadata
        .packages
        .iter()
        .filter(|p| !UNBOUND.contains(&p.name.as_str()));
    Ok(bound
        .map(|package| {
            let targets = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name.clone())
                .filter(|name| members.contains(name))
                .collect();
            (package.name.to_string(), targets)
        })
        .collect())
}
