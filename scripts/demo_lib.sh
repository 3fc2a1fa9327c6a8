# What the demonstrations share: how they speak, the programs, a folder that is removed, and starting a program until it is ready.
# Sourced by demo.sh and demo_ha.sh, which define end_all: it ends what they have started.
# shellcheck shell=bash

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' dim=$'\e[2m' cyan=$'\e[36m' plain=$'\e[0m'
else
  bold='' dim='' cyan='' plain=''
fi
say() { printf '%s%s%s\n' "$dim" "$*" "$plain"; }
step() { printf '\n%s── %s %s\n' "$bold$cyan" "$*" "$plain"; }
show() { # a command as one would type it, then what it prints
  local word shown=''
  for word in "$@"; do
    if [[ $word =~ ^[A-Za-z0-9_./:=@%,+-]+$ ]]; then shown+=" $word"; else shown+=" '$word'"; fi
  done
  printf '%s$%s%s\n' "$bold" "$shown" "$plain"
  "$@"
}
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

if [[ -z ${REEVE_BIN:-} ]]; then
  scripts/deps.sh build
  say "building the programs (once; a few minutes on a small machine) …"
  cmake --preset dev >/dev/null
  cmake --build --preset dev --target reeve_programs -- --quiet
  REEVE_BIN=$PWD/build/dev/bin
fi
export PATH="$REEVE_BIN:$PATH"

work=$(mktemp -d "${TMPDIR:-/tmp}/reeve-demo.XXXXXX")

clean_up() {
  local code=$?
  trap - EXIT INT TERM
  end_all
  if ((code != 0)); then
    printf '\ndemo: failed; the end of the logs:\n' >&2
    tail -n 5 "$work"/*.log >&2 || true
  fi
  rm -rf "$work"
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Starts a program and waits for the line that says that it is ready. Sets started_pid and ready_line.
start() { # PATTERN LOG COMMAND...
  local pattern=$1 log=$2 out deadline=$((SECONDS + 30))
  shift 2
  exec {out}< <(exec "$@" 2>>"$log")
  started_pid=$!
  while read -r -t $((deadline - SECONDS + 1)) -u "$out" ready_line; do
    if [[ $ready_line =~ $pattern ]]; then return 0; fi
  done
  die "$1 did not say '$pattern'"
}
