//! The real server, asked by clients that people have.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::ci::succeed;
use crate::tree::Tree;

/// The clients, in the order in which they ask.
const SCRIPTS: [&str; 3] = ["openai_client.py", "agent_loop.py", "schemas.py"];

/// Starts `binary` on a free port, or the server as it is built in release, and runs
/// `scripts/clients/` against it.
///
/// # Errors
/// When the build, the server or a client fails.
pub fn run(tree: &Tree, binary: Option<&Path>) -> anyhow::Result<()> {
    let built = target_folder(tree).join("release/purser");
    if binary.is_none() {
        succeed(&mut tree.cargo(&["build", "--release", "--locked"]))?;
    }
    let python = python_with_openai(tree)?;
    let server = Server::start(binary.unwrap_or(&built))?;
    for script in SCRIPTS {
        let script = tree.root().join("scripts/clients").join(script);
        succeed(Command::new(&python).arg(script).arg(&server.url))?;
    }
    server.stop()
}

/// A Python with the packages of `scripts/clients/requirements.txt`, in a folder under target/.
fn python_with_openai(tree: &Tree) -> anyhow::Result<PathBuf> {
    let venv = target_folder(tree).join("clients-venv");
    let python = venv.join("bin/python");
    if !python.exists() {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    let requirements = tree.root().join("scripts/clients/requirements.txt");
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ];
    succeed(Command::new(&python).args(pip).arg(requirements))?;
    Ok(python)
}

/// Where cargo builds.
pub(crate) fn target_folder(tree: &Tree) -> PathBuf {
    option_env!("CARGO_TARGET_DIR").map_or_else(|| tree.root().join("target"), PathBuf::from)
}

struct Server {
    process: Child,
    url: String,
}

impl Server {
    /// Starts `binary` on a port of the system's choice and waits until it says where it listens.
    fn start(binary: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(binary)
            .args(["serve", "--port", "0", "--log-format", "text"])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let stdout = process
            .stdout
            .take()
            .context("the server's output is piped")?;
        for line in BufReader::new(stdout).lines() {
            let line = line.context("reading the server's output")?;
            println!("server: {line}");
            if let Some(start) = line.find("http://") {
                let url = line[start..]
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                return Ok(Self { process, url });
            }
        }
        bail!("the server ended before it listened: {}", process.wait()?)
    }

    /// Asks the server to stop, as an init system does, and expects a clean exit.
    fn stop(mut self) -> anyhow::Result<()> {
        succeed(Command::new("kill").args(["-TERM", &self.process.id().to_string()]))?;
        let status = self.process.wait()?;
        ensure!(
            status.success(),
            "the server ended with {status} after SIGTERM"
        );
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone after `stop`; otherwise a client failed and nobody needs the server.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
