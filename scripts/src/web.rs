//! The web page in a real browser.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::ci::succeed;
use crate::clients::target_folder;
use crate::tree::Tree;

/// Runs `scripts/web/` against `binary`, or against the server as it is built in release. It needs
/// Node.js with npm, and the Chromium that `$CHROMIUM` names, or /usr/bin/chromium.
///
/// # Errors
/// When something is missing, or the build or a test fails.
pub fn run(tree: &Tree, binary: Option<&Path>) -> anyhow::Result<()> {
    let built = target_folder(tree).join("release/purser");
    if binary.is_none() {
        succeed(&mut tree.cargo(&["build", "--release", "--locked"]))?;
    }
    let binary = std::path::absolute(binary.unwrap_or(&built))?;
    let folder = installed(tree)?;
    let mut node = Command::new("node");
    node.arg("page.test.mjs").arg(binary).arg("screenshots");
    succeed(node.current_dir(&folder))?;
    println!(
        "web: screenshots are in {}",
        folder.join("screenshots").display()
    );
    Ok(())
}

/// A copy of `scripts/web/` under target/ with the packages of its lock file.
fn installed(tree: &Tree) -> anyhow::Result<PathBuf> {
    let folder = target_folder(tree).join("web");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let lock = folder.join("package-lock.json");
    let installed = std::fs::read(&lock).ok();
    let source = tree.root().join("scripts/web");
    let entries = std::fs::read_dir(&source).with_context(|| format!("{}", source.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    let has_packages = folder.join("node_modules").exists();
    if !has_packages || installed != Some(std::fs::read(&lock)?) {
        let status = Command::new("npm")
            .arg("ci")
            .current_dir(&folder)
            .status()
            .context("starting npm, which comes with Node.js")?;
        ensure!(status.success(), "npm ci: {status}");
    }
    Ok(folder)
}
