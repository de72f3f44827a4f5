#!/usr/bin/env python3
"""Builds llama.cpp's own server for this machine, from the sources inside PyPI's sdist.

    python3 benches/peers/build_llama_cpp.py [--jobs 2] [PROGRAM ...]

The sdist of `llama-cpp-python` carries the sources that its Python binding is built from, so the
programs and the binding are the same version. They end under `target/llama.cpp/build/bin`. The
comparison needs `llama-server`; its own figures can be checked against `llama-bench` and
`llama-batched-bench`, if these are named. Needs a C++ compiler, and `cmake` and `ninja` (both are
on PyPI).
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "0.3.36"
ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "target" / "llama.cpp"
FLAGS = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_UI=OFF",
]


def program(name: str) -> Path:
    """Where a program of llama.cpp lies once it is built."""
    return SOURCE / "build" / "bin" / name


def unpack() -> None:
    """Puts the sources into `SOURCE`."""
    with tempfile.TemporaryDirectory() as folder:
        requirement = f"llama-cpp-python=={VERSION}"
        download = [sys.executable, "-m", "pip", "download", "--no-deps"]
        # Only its own sources: what builds them may come ready-made.
        download += ["--no-binary", "llama-cpp-python"]
        subprocess.run([*download, "--dest", folder, requirement], check=True)
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as sdist:
            prefix = f"llama_cpp_python-{VERSION}/vendor/llama.cpp/"
            members = [m for m in sdist.getmembers() if m.name.startswith(prefix)]
            for member in members:
                member.name = member.name.removeprefix(prefix)
            sdist.extractall(SOURCE, members, filter="data")


def build(programs: list[str], jobs: int) -> None:
    """Builds what is not built yet."""
    if not (SOURCE / "CMakeLists.txt").exists():
        unpack()
    tree = ["-S", SOURCE, "-B", SOURCE / "build", "-G", "Ninja"]
    subprocess.run(["cmake", *tree, *FLAGS], check=True)
    targets = ["--target", *programs, "-j", str(jobs)]
    subprocess.run(["cmake", "--build", SOURCE / "build", *targets], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", default=["llama-server"])
    args = parser.parse_args()
    build(args.programs, args.jobs)


if __name__ == "__main__":
    main()
