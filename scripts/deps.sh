#!/usr/bin/env bash
# Installs the Debian 12 packages that reeve is built from and are not there yet. Quick when nothing is missing.
# Usage: deps.sh build|format|tidy|fuzz. Called by the Makefile and demo.sh; never names a package host.
set -euo pipefail

build=(
  build-essential g++ cmake ninja-build ccache mold pkg-config
  libcaf-dev cppzmq-dev libzmq3-dev libmsgpack-cxx-dev libspdlog-dev libsqlite3-dev libcli11-dev libtomlplusplus-dev
  nlohmann-json3-dev libexpected-dev libxxhash-dev libjemalloc-dev libgtest-dev libgmock-dev libbenchmark-dev
  prometheus-cpp-dev libcpp-httplib-dev libssl-dev zlib1g-dev libbrotli-dev libncurses-dev
  libgrpc++-dev libprotobuf-dev protobuf-compiler golang-etcd-server-dev etcd-server etcd-client
  curl python3 python3-zmq python3-msgpack sqlite3 prometheus chromium chromium-driver python3-selenium python3-pyte
)
case "${1:-build}" in
  build) wanted=("${build[@]}") ;;
  format) wanted=(git clang-format) ;;
  tidy) wanted=("${build[@]}" clang clang-tidy) ;;
  fuzz) wanted=("${build[@]}" clang libclang-rt-14-dev) ;;
  *) echo "usage: deps.sh build|format|tidy|fuzz" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "deps: this is not a Debian system; see the package list in scripts/deps.sh and install its like" >&2
  exit 0
fi

declare -A have=()
while read -r name state; do
  [[ $state == installed ]] && have[$name]=1
done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for name in "${wanted[@]}"; do
  [[ -n ${have[$name]:-} ]] || missing+=("$name")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || { echo "deps: missing ${missing[*]}; install them as root" >&2; exit 1; }
  as_root=(sudo)
fi
echo "deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
