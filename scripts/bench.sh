#!/usr/bin/env bash
# Runs every benchmark program one after the other (they measure the whole machine). Usage: bench.sh BUILD_FOLDER [name...]
# Called by `make bench`. A program prints its own figures and baselines.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: bench.sh BUILD_FOLDER [name...]}
shift
shopt -s nullglob
ran=0
for program in "$build"/tests/bench/*; do
  [[ -f $program && -x $program ]] || continue
  name=$(basename "$program")
  if (($# > 0)) && [[ " $* " != *" $name "* ]]; then continue; fi
  printf '\n== %s\n' "$name"
  REEVE_BIN="$PWD/$build/bin" "$program"
  ran=$((ran + 1))
done
for name in takeover frames; do
  if (($# == 0)) || [[ " $* " == *" $name "* ]]; then
    printf '\n== %s\n' "$name"
    REEVE_BIN="$PWD/$build/bin" python3 "tests/bench/$name.py"
    ran=$((ran + 1))
  fi
done
if ((ran == 0)); then
  echo "bench: no program in $build/tests/bench" >&2
  exit 1
fi
