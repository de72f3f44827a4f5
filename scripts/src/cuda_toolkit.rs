//! The compiler of CUDA C++, from Python packages: no driver and no installation is needed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::clients::target_folder;
use crate::python;
use crate::tree::Tree;

/// Makes `cuda-toolkit` under the target folder, with the packages of `scripts/cuda/requirements.txt`;
/// the build script of `kernels` looks there. Does nothing if it is there already.
///
/// # Errors
/// When Python 3 is missing or a package is not to be had.
pub fn run(tree: &Tree) -> anyhow::Result<()> {
    let nvcc = install(tree)?;
    println!("cuda-toolkit: {}", nvcc.display());
    Ok(())
}

/// As [`run`]; returns the path of nvcc.
fn install(tree: &Tree) -> anyhow::Result<PathBuf> {
    let requirements = tree.root().join("scripts/cuda/requirements.txt");
    let wanted = fs::read_to_string(&requirements).context("reading the requirements")?;
    let folder = target_folder(tree).join("cuda-toolkit");
    let nvcc = folder.join("nvidia/cu13/bin/nvcc");
    // Written last, so that an installation that broke off is made again.
    let installed = folder.join("installed.txt");
    if !is_current(&installed, &wanted) {
        let python = python::environment(tree, "cuda-toolkit-venv")?;
        python::install(&python, &requirements, Some(&folder))?;
        ensure!(nvcc.exists(), "the packages have no {}", nvcc.display());
        fs::write(&installed, &wanted).context("writing what is installed")?;
    }
    Ok(nvcc)
}

/// Whether the file `installed` says what is `wanted`.
fn is_current(installed: &Path, wanted: &str) -> bool {
    fs::read_to_string(installed).is_ok_and(|installed| installed == wanted)
}
