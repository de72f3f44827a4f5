//! What must pass before a change lands. A laptop and the CI machine run the same thing.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::tree::Tree;
use crate::{clients, cuda_toolkit, licences, tidy};

/// Runs every step and stops at the first that fails.
///
/// # Errors
/// With the name of the step that failed.
pub fn run(tree: &Tree) -> anyhow::Result<()> {
    step("format", || {
        succeed(&mut tree.cargo(&["fmt", "--all", "--check"]))
    })?;
    step("tidy", || tidy::run(tree))?;
    step("licences", || licences::run(tree))?;
    step("lints", || {
        let args = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ];
        succeed(&mut tree.cargo(&args))
    })?;
    step("tests", || {
        succeed(&mut tree.cargo(&["test", "--workspace", "--locked"]))
    })?;
    step("second oracle", || {
        // The whole workspace, as for the tests: what they compiled is compiled as they did.
        let args = [
            "test",
            "--workspace",
            "--locked",
            "--features",
            "models/candle-oracle",
            "--test",
            "candle",
        ];
        succeed(&mut tree.cargo(&args))
    })?;
    step("docs", || {
        let args = [
            "doc",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--locked",
        ];
        succeed(tree.cargo(&args).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("cuda", || cuda(tree))?;
    // As the tests built it, in whose profile code that computes is optimised too: a release build
    // takes half as long again as all of this.
    let built = clients::target_folder(tree).join("debug/purser");
    step("clients", || clients::run(tree, Some(&built)))?;
    println!("ci: ok");
    Ok(())
}

/// Compiles the CUDA kernels for one architecture, and holds them to the conformance suite and to the
/// models' golden files without a GPU.
fn cuda(tree: &Tree) -> anyhow::Result<()> {
    cuda_toolkit::run(tree)?;
    // The whole workspace, as for the tests: little is compiled anew.
    let workspace = ["--workspace", "--locked", "--features"];
    let lints = ["--all-targets", "--", "-D", "warnings"];
    let mut clippy = tree.cargo(&["clippy"]);
    clippy
        .args(workspace)
        .arg("server/cuda,models/cuda-emulator,benches/goldens");
    succeed(clippy.args(lints).env("PURSER_CUDA_ARCHITECTURES", "90a"))?;
    for tests in ["cuda_emulator", "gpu"] {
        let mut test = tree.cargo(&["test"]);
        test.args(workspace).arg("models/cuda-emulator");
        succeed(test.args(["--test", "it", tests]))?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of a step is printed, not used"
)]
fn step(name: &str, run: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    println!("ci: {name}");
    let start = Instant::now();
    run().with_context(|| format!("ci: {name} failed"))?;
    println!("ci: {name} took {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started or exits with a failure.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
