//! Packages of JavaScript.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::clients::target_folder;
use crate::tree::Tree;

/// A copy of the folder `name` of `scripts/` under target/, with the packages of its lock file, of
/// which none runs anything while it is installed.
///
/// # Errors
/// When npm is missing or a package cannot be had.
pub(crate) fn installed(tree: &Tree, name: &str) -> anyhow::Result<PathBuf> {
    let folder = target_folder(tree).join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let lock = folder.join("package-lock.json");
    let installed = std::fs::read(&lock).ok();
    let source = tree.root().join("scripts").join(name);
    let entries = std::fs::read_dir(&source).with_context(|| format!("{}", source.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    // npm writes it when all packages are there.
    let has_packages = folder.join("node_modules/.package-lock.json").exists();
    if !has_packages || installed != Some(std::fs::read(&lock)?) {
        let status = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .status()
            .context("starting npm, which comes with Node.js")?;
        ensure!(status.success(), "npm ci: {status}");
    }
    Ok(folder)
}
