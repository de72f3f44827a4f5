//! The real server, asked by clients that people have.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::ci::succeed;
use crate::node;
use crate::python;
use crate::tree::Tree;

/// The clients in Python, in the order in which they ask.
const PYTHON: [&str; 7] = [
    "openai_client.py",
    "responses_client.py",
    "anthropic_client.py",
    "ollama_client.py",
    "frameworks.py",
    "agent_loop.py",
    "schemas.py",
];
/// Those in JavaScript, which ask after them.
const JAVASCRIPT: [&str; 1] = ["openai_client.mjs"];
/// The oldest major version of Node.js that runs them.
const OLDEST_NODE: u32 = 18;

/// Starts `binary` on a free port, or the server as it is built in release, and runs
/// `scripts/clients/` against it. It needs Python 3, and Node.js with npm.
///
/// # Errors
/// When something is missing, or the build, the server or a client fails.
pub fn run(tree: &Tree, binary: Option<&Path>) -> anyhow::Result<()> {
    let built = target_folder(tree).join("release/purser");
    if binary.is_none() {
        succeed(&mut tree.cargo(&["build", "--release", "--locked"]))?;
    }
    let python = python_with_packages(tree)?;
    check_node()?;
    let javascript = node::installed(tree, "clients")?;
    let server = Server::start(binary.unwrap_or(&built))?;
    let mut all_hold = true;
    for script in PYTHON {
        let script = tree.root().join("scripts/clients").join(script);
        all_hold &= holds(Command::new(&python).arg(script).arg(&server.url))?;
    }
    for script in JAVASCRIPT {
        let mut node = Command::new("node");
        node.arg(script).arg(&server.url).current_dir(&javascript);
        all_hold &= holds(&mut node)?;
    }
    server.stop()?;
    ensure!(all_hold, "a client was not answered as it should be");
    Ok(())
}

/// Runs a client to its end, and says whether all was as it should be.
fn holds(client: &mut Command) -> anyhow::Result<bool> {
    println!("clients: {client:?}");
    let status = client
        .status()
        .with_context(|| format!("starting {client:?}"))?;
    Ok(status.success())
}

/// A Python with exactly the packages of `scripts/clients/requirements.txt`, in a folder under target/.
fn python_with_packages(tree: &Tree) -> anyhow::Result<PathBuf> {
    let python = python::environment(tree, "clients-venv")?;
    let requirements = tree.root().join("scripts/clients/requirements.txt");
    python::install(&python, &requirements, None)?;
    Ok(python)
}

/// Whether Node.js is there and new enough.
fn check_node() -> anyhow::Result<()> {
    let node = Command::new("node").arg("--version").output();
    let told = node.context("starting node (Node.js)")?.stdout;
    let told = String::from_utf8_lossy(&told);
    let major = told.trim().trim_start_matches('v').split('.').next();
    let major: u32 = major
        .unwrap_or_default()
        .parse()
        .with_context(|| format!("the version of Node.js: {told:?}"))?;
    ensure!(
        major >= OLDEST_NODE,
        "Node.js {OLDEST_NODE} or later is needed, not {told}"
    );
    Ok(())
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
