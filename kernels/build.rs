//! Compiles the CUDA kernels, where their features are on.
//!
//! - `cuda`: nvcc makes one image of machine code and PTX, which the backend embeds. It is found by
//!   `CUDA_HOME`, by `PATH`, or where `cargo xtask cuda-toolkit` puts it.
//! - `cuda-emulator`: the same sources become C++ of the host, for tests.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script is configured by its environment"
)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Architectures of the machine code, separated by commas; `90a` is Hopper's with its own
/// instructions.
const ARCHITECTURES: &str = "80,89,90a";
/// The architecture of the PTX, which newer devices compile when it is loaded.
const OLDEST: &str = "80";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cuda");
    if env::var_os("CARGO_FEATURE_CUDA").is_some() {
        compile_image();
    }
    if env::var_os("CARGO_FEATURE_CUDA_EMULATOR").is_some() {
        compile_emulator();
    }
}

fn compile_image() {
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    println!("cargo::rerun-if-env-changed=PURSER_CUDA_ARCHITECTURES");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let nvcc = nvcc(&out);
    let architectures =
        env::var("PURSER_CUDA_ARCHITECTURES").unwrap_or_else(|_| ARCHITECTURES.to_owned());
    let mut command = Command::new(&nvcc);
    command.args(["-std=c++17", "-O3", "-fatbin"]);
    for architecture in architectures.split(',') {
        let target = format!("arch=compute_{architecture},code=sm_{architecture}");
        command.arg("-gencode").arg(target);
    }
    command
        .arg("-gencode")
        .arg(format!("arch=compute_{OLDEST},code=compute_{OLDEST}"))
        .arg("cuda/module.cu")
        .arg("-o")
        .arg(out.join("module.fatbin"));
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{command:?}: {status}"),
        Err(error) => panic!(
            "{}: {error}; the feature `cuda` needs nvcc: set CUDA_HOME, put it into PATH, or run \
             `cargo xtask cuda-toolkit`",
            nvcc.display()
        ),
    }
}

/// The compiler: the one that was chosen, the one that this build's target folder holds, or the one
/// of the path.
fn nvcc(out: &Path) -> PathBuf {
    if let Some(home) = env::var_os("CUDA_HOME") {
        return PathBuf::from(home).join("bin/nvcc");
    }
    let installed = out
        .ancestors()
        .map(|folder| folder.join("cuda-toolkit/nvidia/cu13/bin/nvcc"))
        .find(|nvcc| nvcc.exists());
    installed.unwrap_or_else(|| PathBuf::from("nvcc"))
}

fn compile_emulator() {
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("cuda/emulator/module.cpp")
        .opt_level(3)
        // Sums and products are rounded one by one where the kernels say so.
        .flag("-ffp-contract=off")
        .flag_if_supported("-Wno-unknown-pragmas")
        .compile("purser_cuda_emulator");
}
