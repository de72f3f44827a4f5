//! Virtual environments of Python under the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ci::succeed;
use crate::clients::target_folder;
use crate::tree::Tree;

/// The interpreter of the environment `name` under the target folder, made if it is not there.
///
/// # Errors
/// When Python 3 or its module `venv` is missing.
pub(crate) fn environment(tree: &Tree, name: &str) -> anyhow::Result<PathBuf> {
    let venv = target_folder(tree).join(name);
    let python = venv.join("bin/python");
    if !python.exists() {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    Ok(python)
}

/// Installs exactly what `requirements` names, into the environment or, if there is one, into
/// `folder`.
///
/// # Errors
/// When a package is not to be had.
pub(crate) fn install(
    python: &Path,
    requirements: &Path,
    folder: Option<&Path>,
) -> anyhow::Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet"]);
    pip.args(["--disable-pip-version-check", "--no-deps", "-r"]);
    pip.arg(requirements);
    if let Some(folder) = folder {
        pip.arg("--upgrade").arg("--target").arg(folder);
    }
    succeed(&mut pip)
}
