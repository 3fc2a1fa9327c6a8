#!/usr/bin/env bash
# A small cluster at work: a master and two agents on loopback, real jobs, a master killed in the middle. Builds the programs first.
# Leaves nothing behind; ends only the processes that it started. Usage: demo.sh, or REEVE_BIN=<folder of programs> demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."

master_pid='' agents=()

end_with_grace() { # PID: TERM, and KILL when it has not ended after 5 s
  kill -TERM "$1" 2>/dev/null || return 0
  for _ in {1..50}; do
    kill -0 "$1" 2>/dev/null || return 0
    read -rt 0.1 <> <(:) || true
  done
  kill -KILL "$1" 2>/dev/null || true
}
end_all() {
  local pid
  for pid in ${agents[@]+"${agents[@]}"}; do
    end_with_grace "$pid"
  done
  if [[ -n $master_pid ]]; then end_with_grace "$master_pid"; fi
}
. scripts/demo_lib.sh

start_master() { # LISTEN
  start '^listening on (.*)$' "$work/master.log" \
    reeved --state "$work/master" --listen "$1" --events 'tcp://127.0.0.1:*'
  master_pid=$started_pid
  export REEVE_MASTER=${BASH_REMATCH[1]}
}
start_agent() { # NAME
  start '^registered with' "$work/$1.log" \
    reeve-agent --name "$1" --state "$work/$1" --vcores 2 --memory 4GiB --label "zone=$2"
  agents+=("$started_pid")
}

step "A master and two agents"
start_master 'tcp://127.0.0.1:*'
say "reeved listens on $REEVE_MASTER"
start_agent n1 east
start_agent n2 west
show reeve node list

step "A job and what it prints"
show reeve submit --name hello --follow -- sh -c 'echo "hello from task $REEVE_TASK of job $REEVE_JOB_ID"'

step "An array of 200 tasks, each its own process"
show reeve submit --name squares --array 1-200 --wait -- sh -c 'sleep 0.05; echo $((REEVE_ARRAY_INDEX * REEVE_ARRAY_INDEX))'
show reeve task logs last/11

step "A job that fails says so, with its exit code"
show reeve submit --name broken --wait -- sh -c 'echo "no such input" >&2; exit 3' || say "reeve submit: exit code $?"
show reeve job logs last --stderr

step "kill -9 of the master while a job runs"
show reeve submit --name survivor -- sh -c 'for i in 1 2 3 4 5 6 7 8; do echo "step $i in process $$"; sleep 0.5; done; echo x >>'"$work/ran"
while [[ -z $(reeve job list --name survivor --state running -o quiet) ]]; do :; done
show reeve master status
printf '%s$ kill -9 %s%s   (reeved)\n' "$bold" "$master_pid" "$plain"
kill -9 "$master_pid"
wait "$master_pid" 2>/dev/null || true
say "nobody is in charge now; the job runs on. The master starts again:"
start_master "$REEVE_MASTER"
show reeve job wait last
show reeve job logs last
say "the same process from the first step to the last: it ran $(wc -l <"$work/ran") time. The new master's epoch:"
show reeve master status

step "Drain a node: it gets no new work"
show reeve node drain n1 --reason 'new disk'
show reeve submit --name elsewhere --array 1-6 --wait -- sleep 0.1
show reeve task list last
show reeve node undrain n1

step "A lease: resources held without a task"
show reeve lease take --node n2 --vcores 1 --memory 1GiB --owner demo
show reeve lease list
show reeve lease release --node n2

step "What happened"
show reeve job list
show reeve history --limit 6
show reeve stats

step "That was reeve"
say "README.md tells more; make test proves it."
