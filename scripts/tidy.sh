#!/usr/bin/env bash
# Runs clang-tidy with the rules of .clang-tidy. Usage: tidy.sh changed|all; BASE=<commit> says changed since when.
# Called by `make tidy`, after the preset `tidy` was configured.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${1:-changed} == all ]]; then
  mapfile -t files < <(git ls-files '*.cpp')
else
  base=${BASE:-$(git diff --quiet HEAD && echo HEAD~1 || echo HEAD)}
  mapfile -t files < <(git diff --name-only --diff-filter=d "$base" -- '*.cpp'; git ls-files --others --exclude-standard '*.cpp')
fi
if ((${#files[@]} == 0)); then
  echo "tidy: no changed .cpp file"
  exit 0
fi
echo "tidy: ${#files[@]} files"
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build/tidy --quiet --warnings-as-errors='*'
