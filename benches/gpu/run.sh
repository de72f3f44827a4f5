#!/usr/bin/env bash
# Checks and measures on a machine with a GPU what build.sh has built.
#
#   benches/gpu/run.sh OUT [PART..]
#
# Parts, each of which ends within ten minutes; without any, all but the last three:
#   correctness  kernels against answers in f64, models against their goldens, the same in part under
#                compute-sanitizer where it is installed
#   L, Q         the engine's workloads with Llama-3.1-8B's and Qwen3-0.6B's shape
#   http         64 streaming clients of a server, with Llama-3.1-8B's shape
#   deterministic  what --deterministic costs: some of the engine's workloads of L and Q with it, into
#                OUT/deterministic, in a table of their own
#   no-async-scheduling  the same with --no-async-scheduling, into OUT/no-async-scheduling
#   tiny         the engine's workloads with a tiny shape
# The folder OUT gets everything, and in the end report.md, which is printed: goals against figures. Parts
# may run one by one into the same folder; a workload that has a line there is not measured again.
#
# Needs bash, python3 and the GPU's driver. To try it without a GPU: DEVICE=cpu SCALE=64 HTTP_MODEL=tiny
# FLAG_MODELS=tiny benches/gpu/run.sh OUT tiny http deterministic.
set -uo pipefail
cd "$(dirname "$0")/../.."

DEVICE=${DEVICE:-cuda}
SCALE=${SCALE:-1}
BIN=${BIN:-target/gpu}
HTTP_MODEL=${HTTP_MODEL:-L}
FLAG_MODELS=${FLAG_MODELS:-L Q}
# Seconds of a part that measures.
PART_SECONDS=${PART_SECONDS:-540}
# Seconds that requests which are submitted together may take.
LIMIT=${LIMIT:-150}

if (($# == 0)); then
  sed -n '2,21s/^# \{0,1\}//p' "$0"
  exit 2
fi
out=$1
shift
parts=("$@")
((${#parts[@]})) || parts=(correctness L Q http)
mkdir -p "$out"
if [ -f "$BIN/programs.tar.xz" ] && [ ! -x "$BIN/gpu" ]; then
  python3 -W ignore -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' \
    "$BIN/programs.tar.xz" "$BIN" || exit 1
fi
commit=$(cat "$BIN/commit" 2>/dev/null || echo unknown)
status=0

machine() {
  {
    echo "$(date -u +%FT%TZ) $1, commit $commit"
    uname -srm
    grep -m1 'model name' /proc/cpuinfo
    nvidia-smi --format=csv,noheader --query-gpu=name,driver_version,memory.total,memory.used,clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,power.draw 2>&1
  } >> "$out/machine.txt"
}

# check NAME SECONDS COMMAND..: notes whether a command succeeds within the time.
check() {
  local name=$1 seconds=$2 log=$out/check-$1.log code verdict
  shift 2
  timeout -k 10 "$seconds" "$@" > "$log" 2>&1
  code=$?
  if ((code == 0)) && grep -q '^test result: ok. 0 passed' "$log"; then code=no-test; fi
  case $code in
    0) verdict=passed ;;
    no-test) verdict='failed (there is no such test)' ;;
    124 | 137) verdict="failed (no end after $seconds s)" ;;
    *) verdict="failed (status $code)" ;;
  esac
  if [ "$verdict" != passed ]; then status=1; fi
  note "$name" "$verdict" "$(grep -aE '^test result|ERROR SUMMARY|RACECHECK SUMMARY' "$log" | tr '\n' ' ')"
}

# The last verdict of a check counts.
note() {
  echo "| $1 | $2 | ${3:-} |" | tee -a "$out/checks.txt"
}

correctness() {
  # The suite's name for the device: cuda, or cuda_emulator.
  local backend=${DEVICE%%:*} name
  backend=${backend//-/_}
  export PURSER_TEST_GPU=1 PURSER_GOLDENS=$PWD/models/tests/goldens
  check kernels 120 "$BIN/kernels-conformance" "$backend::" "${backend}_device::"
  check fixed-sums 100 "$BIN/kernels-conformance" "${backend}_fixed::" "${backend}_bits::" "${backend}_bits_bf16::"
  check models 120 "$BIN/models-goldens" gpu --skip gpu::answers
  # Needs the weights in models/embedded.
  check answers 40 "$BIN/models-goldens" gpu::answers
  local sanitizer
  sanitizer=$(command -v compute-sanitizer || compgen -G '/usr/local/cuda*/bin/compute-sanitizer' | head -1)
  if [ -z "$sanitizer" ]; then
    note sanitizers 'not run' 'there is no compute-sanitizer'
    return
  fi
  local tests=(--exact --test-threads 1)
  for name in attention attention_usual_heads fp8_values run_ahead attention_mixed linear rms_norm rope embed copy_blocks; do
    tests+=("$backend::$name")
  done
  tests+=("${backend}_device::recorded_steps" "${backend}_device::likeliest" "${backend}_device::logprobs")
  check memcheck 70 "$sanitizer" --tool memcheck --error-exitcode 9 "$BIN/kernels-conformance" "${tests[@]}"
  check racecheck 70 "$sanitizer" --tool racecheck --error-exitcode 9 "$BIN/kernels-conformance" "${tests[@]}"
  check memcheck-engine 70 "$sanitizer" --tool memcheck --error-exitcode 9 "$BIN/gpu" run --model tiny \
    --scale 64 --device "$DEVICE" --only decode-1,ttft-8192 --json
}

# A process that fails, hangs or crashes takes one workload with it; the next goes on behind that.
#
# workloads MODEL FOLDER SECONDS [ARGUMENT..]
workloads() {
  local model=$1 end=$((SECONDS + $3)) before code
  local results=$2/$model.jsonl log=$2/$model.log
  shift 3
  touch "$results"
  while ((end - SECONDS > 10)); do
    before=$(wc -l < "$results")
    timeout -k 10 $((end - SECONDS)) "$BIN/gpu" run --model "$model" --device "$DEVICE" --scale "$SCALE" \
      --results "$results" --limit "$LIMIT" --commit "$commit" --json "$@" 2>> "$log"
    code=$?
    ((code == 0)) && return
    status=1
    # The part's time is over: what was being measured is left to the next call.
    if ((code == 124 || code == 137)); then
      sed -i '${/"outcome":"begun"/d}' "$results"
      break
    fi
    # Not even one workload was begun: the next process would not begin one either.
    (($(wc -l < "$results") > before)) || break
  done
  echo "$model: see $log" >&2
}

# with_flag FLAG: some workloads with a flag of the server. Each of the models gets its share of the part's
# time.
with_flag() {
  local models model
  read -ra models <<< "$FLAG_MODELS"
  mkdir -p "$out/$1"
  for model in "${models[@]}"; do
    workloads "$model" "$out/$1" $((PART_SECONDS / ${#models[@]})) \
      --only decode-1,streams,prefill -- "--$1"
  done
}

http() {
  timeout -k 10 "$PART_SECONDS" python3 benches/gpu/streaming_clients.py --bin "$BIN" --model "$HTTP_MODEL" \
    --device "$DEVICE" --scale "$SCALE" --results "$out/http.jsonl" --out "$out/http" --commit "$commit" ||
    status=1
}

report() {
  echo '## Machine'
  echo
  sed 's/^/    /' "$out/machine.txt"
  if [ -f "$out/checks.txt" ]; then
    printf '\n## Correctness\n\n| check | | |\n|---|---|---|\n'
    # Of each check the last line.
    tac "$out/checks.txt" | awk -F'|' '!seen[$2]++' | tac
  else
    printf '\n## Correctness\n\nnot run\n'
  fi
  local files=("$out"/*.jsonl)
  if [ -f "${files[0]}" ]; then
    printf '\n## Goals against figures\n\n'
    "$BIN/gpu" table "${files[@]}"
  fi
  local flag
  for flag in deterministic no-async-scheduling; do
    files=("$out/$flag"/*.jsonl)
    if [ -f "${files[0]}" ]; then
      printf '\n## With --%s\n\n' "$flag"
      "$BIN/gpu" table "${files[@]}"
    fi
  done
}

for part in "${parts[@]}"; do
  machine "before $part"
  case $part in
    correctness) correctness ;;
    L | Q | tiny) workloads "$part" "$out" "$PART_SECONDS" ;;
    http) http ;;
    deterministic | no-async-scheduling) with_flag "$part" ;;
    *)
      echo "there is no part $part" >&2
      exit 2
      ;;
  esac
  machine "after $part"
done
report | tee "$out/report.md"
exit $status
