#!/usr/bin/env bash
# Three etcd members and three masters on loopback, work that runs, and the leader killed twice meanwhile; then the timeline.
# Leaves nothing behind; ends only the processes that it started. Usage: demo_ha.sh, or REEVE_BIN=<folder of programs> demo_ha.sh
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A pids=() listen=() events=()
agents=()

wait_gone() { # PID SECONDS
  local deadline=$((SECONDS + $2))
  while kill -0 "$1" 2>/dev/null && ((SECONDS < deadline)); do read -rt 0.1 <> <(:) || true; done
}
end_all() {
  local pid
  for pid in ${agents[@]+"${agents[@]}"}; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in ${agents[@]+"${agents[@]}"}; do wait_gone "$pid" 10; done
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  wait "${pids[@]}" 2>/dev/null || true # else the shell tells of each that it was killed
}
scripts/deps.sh build # etcd, too, where the programs are there already
. scripts/demo_lib.sh

step "Three etcd members"
mapfile -t ports < <(/usr/bin/python3 -c '
import socket
held = [socket.socket() for _ in range(6)]
for one in held: one.bind(("127.0.0.1", 0)); print(one.getsockname()[1])')
peers="e1=http://127.0.0.1:${ports[3]},e2=http://127.0.0.1:${ports[4]},e3=http://127.0.0.1:${ports[5]}"
members="127.0.0.1:${ports[0]},127.0.0.1:${ports[1]},127.0.0.1:${ports[2]}"
for k in 1 2 3; do
  client=http://127.0.0.1:${ports[k - 1]} peer=http://127.0.0.1:${ports[k + 2]}
  etcd --name "e$k" --data-dir "$work/e$k" --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "$peers" \
    --heartbeat-interval 50 --election-timeout 300 --snapshot-count 5000 --logger zap --log-level error >"$work/e$k.log" 2>&1 &
  pids[e$k]=$!
done
deadline=$((SECONDS + 30))
until ETCDCTL_API=3 etcdctl --endpoints "$members" get nothing >/dev/null 2>&1; do
  ((SECONDS < deadline)) || die "etcd does not answer"
done
say "they answer at $members"

start_master() { # NAME
  start '^listening on (.*)$' "$work/$1.log" reeved --name "$1" --state "$work/$1" --listen "${listen[$1]:-tcp://127.0.0.1:*}" \
    --events "tcp://127.0.0.1:*" --journal "etcd://$members/demo"
  pids[$1]=$started_pid listen[$1]=${BASH_REMATCH[1]}
}
leader() { # waits until one leads; prints its name
  local deadline=$((SECONDS + 30)) name
  while ((SECONDS < deadline)); do
    name=$(reeve master status -o quiet 2>/dev/null || true)
    if [[ -n $name && $name != *$'\n'* ]]; then printf '%s\n' "$name"; return; fi
  done
  die "nobody leads"
}

step "Three masters: one leads, two follow"
for name in m1 m2 m3; do start_master "$name"; done
export REEVE_MASTER="${listen[m1]},${listen[m2]},${listen[m3]}"
first=$(leader)
show reeve master status
for name in n1 n2; do
  start '^registered with' "$work/$name.log" reeve-agent --master "$REEVE_MASTER" --name "$name" --state "$work/$name" --vcores 2 \
    --memory 4GiB
  agents+=("$started_pid")
done
show reeve node list

step "Work: 60 tasks of half a second, each writes one line"
show reeve submit --name survivor --array 1-60 -- sh -c "sleep 0.5; echo \$REEVE_ARRAY_INDEX >>'$work/ran'"
until [[ -s $work/ran ]]; do read -rt 0.05 <> <(:) || true; done

kill_leader() {
  local name before after
  name=$(leader)
  printf '%s$ kill -9 %s%s   (reeved %s, the leader; %s of 60 tasks have ended)\n' "$bold" "${pids[$name]}" "$plain" "$name" \
    "$(wc -l <"$work/ran")"
  before=$(date +%s%N)
  kill -9 "${pids[$name]}"
  wait "${pids[$name]}" 2>/dev/null || true
  local next
  next=$(leader)
  after=$(date +%s%N)
  say "$next leads, seen after $(((after - before) / 1000000)) ms (asking takes a while, too)"
  start_master "$name"
  say "$name is back, and follows"
}
step "kill -9 of the leader, for the first time"
kill_leader
read -rt 2 <> <(:) || true
step "… and for the second time"
kill_leader
show reeve master status

step "The job ends all the same"
show reeve job wait last
ran=$(wc -l <"$work/ran") differing=$(sort -u "$work/ran" | wc -l)
say "$ran lines of $differing tasks: each ran once"
[[ $ran == 60 && $differing == 60 ]] || die "each of the 60 tasks should have run once"

step "The timeline, as the present leader tells it"
show reeve events --from start --filter master --filter node --filter job --timeout 1s
step "That was reeve with several masters"
say "docs/operating.md tells how to run it; the first leader was $first."
