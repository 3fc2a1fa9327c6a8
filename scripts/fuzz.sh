#!/usr/bin/env bash
# Runs every libFuzzer target for some seconds, starting from its saved corpus (tests/fuzz/corpus/<target>). What breaks one is kept in
# <build>/findings; a finding joins the corpus with its fix. Usage: fuzz.sh BUILD_FOLDER SECONDS. Called by `make fuzz`.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: fuzz.sh BUILD_FOLDER SECONDS}
seconds=${2:?usage: fuzz.sh BUILD_FOLDER SECONDS}
mkdir -p "$build/findings"
shopt -s nullglob
ran=0
for program in "$build"/tests/fuzz/fuzz_*; do
  [[ -f $program && -x $program ]] || continue
  name=$(basename "$program")
  mkdir -p "$build/corpus/$name" # what it learns now; only chosen inputs are saved in the tree
  saved=()
  for folder in tests/fuzz/corpus/{"${name#fuzz_}","$name"}; do
    if [[ -d $folder ]]; then saved+=("$folder"); fi
  done
  echo "== $name, $seconds s"
  "$program" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$build/findings/$name-" "$build/corpus/$name" ${saved[@]+"${saved[@]}"} 2>&1 | tail -n 12
  ran=$((ran + 1))
done
if ((ran == 0)); then
  echo "fuzz: no target in $build/tests/fuzz" >&2
  exit 1
fi
