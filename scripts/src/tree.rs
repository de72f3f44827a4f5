//! The checkout: its root and the files that git tracks.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// A checkout of the project.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The checkout that this binary was built from.
    ///
    /// # Errors
    /// When the crate does not lie in a workspace.
    pub fn of_workspace() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("scripts/ lies in the workspace")?;
        Ok(Self::at(root))
    }

    /// A checkout at `root`.
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The top folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Paths of the files that git tracks or would track, relative to the root, sorted.
    ///
    /// # Errors
    /// When git cannot list them.
    pub fn files(&self) -> anyhow::Result<Vec<String>> {
        let output = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(&self.root)
            .output()
            .context("running git ls-files")?;
        if !output.status.success() {
            bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr));
        }
        let mut files: Vec<String> = String::from_utf8(output.stdout)?
            .split_terminator('\0')
            .filter(|path| self.root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// A file's text.
    ///
    /// # Errors
    /// When it cannot be read or is not UTF-8.
    pub fn read(&self, path: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.root.join(path)).with_context(|| format!("reading {path}"))
    }

    /// A cargo command in this tree.
    pub fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command.args(args).current_dir(&self.root);
        command
    }
}
