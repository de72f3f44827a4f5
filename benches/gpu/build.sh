#!/usr/bin/env bash
# Builds what run.sh needs on a machine with a GPU of Hopper's: programs and tests with the feature cuda
# and without the embedded model, stripped and packed, in target/gpu. Needs no GPU and no CUDA.
set -euo pipefail
cd "$(dirname "$0")/../.."
most_bytes=$((16 << 20))

cargo xtask cuda-toolkit
export PURSER_CUDA_ARCHITECTURES=90a
export CARGO_PROFILE_RELEASE_STRIP=symbols
PURSER_COMMIT=$(git rev-parse --short=12 HEAD)
export PURSER_COMMIT

# The path of the test program that a build prints.
test_program() {
  cargo test --release --no-run --locked --message-format=json "$@" | python3 -c '
import json, sys
messages = map(json.loads, sys.stdin)
programs = [m["executable"] for m in messages if m.get("executable") and m["profile"]["test"]]
print(*programs)'
}

cargo build --release --locked -p benches --bin gpu -p server --bin purser \
  --no-default-features --features benches/cuda,server/cuda
models=$(test_program -p benches --test goldens --no-default-features --features benches/cuda,benches/goldens)
# Without the oracle backend, which has no part in checks of CUDA.
kernels=$(test_program -p kernels --test it --no-default-features --features kernels/cuda)

target=${CARGO_TARGET_DIR:-target}
if [ -n "$(git status --porcelain --untracked-files=no)" ]; then PURSER_COMMIT+=+; fi
rm -rf target/gpu
mkdir -p target/gpu
echo "$PURSER_COMMIT" > target/gpu/commit
# All in one archive: the programs have most of their code in common.
python3 - target/gpu/programs.tar.xz "gpu=$target/release/gpu" "purser=$target/release/purser" \
  "models-goldens=$models" "kernels-conformance=$kernels" <<'PACK'
import lzma
import sys
import tarfile

archive, *programs = sys.argv[1:]
window = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 128 << 20}
filters = [{"id": lzma.FILTER_X86}, window]
with lzma.open(archive, "w", filters=filters) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
    for program in programs:
        name, path = program.split("=", 1)
        tar.add(path, arcname=name)
PACK

ls -l target/gpu
bytes=$(cat target/gpu/* | wc -c)
echo "$bytes bytes"
((bytes <= most_bytes)) || { echo "more than $most_bytes bytes" >&2; exit 1; }
