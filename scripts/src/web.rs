//! The web page in a real browser.

use std::path::Path;
use std::process::Command;

use crate::ci::succeed;
use crate::clients::target_folder;
use crate::node;
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
    let folder = node::installed(tree, "web")?;
    let mut node = Command::new("node");
    node.arg("page.test.mjs").arg(binary).arg("screenshots");
    succeed(node.current_dir(&folder))?;
    println!(
        "web: screenshots are in {}",
        folder.join("screenshots").display()
    );
    Ok(())
}
