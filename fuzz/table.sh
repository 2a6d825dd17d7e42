#!/usr/bin/env bash
# Prints a table of a run from the logs of run.sh.
#
#   fuzz/table.sh LOGS TARGET...
set -uo pipefail
logs=$1
shift
printf '| target | processor time, s | executions | cov | ft | corpus |\n|---|---:|---:|---:|---:|---:|\n'
for target in "$@"; do
  log=$logs/$target.log
  [ -f "$log" ] || continue
  last=$(grep -aE '^#[0-9]+.*cov: ' "$log" | tail -1)
  field() { sed -n "s/.* $1: \([0-9]*\).*/\1/p" <<<"$last"; }
  # A target that ended with a find prints no statistics.
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '| `%s` | %s | %s | %s | %s | %s |\n' "$target" "$(cat "$logs/$target.cpu" 2>/dev/null)" \
    "${executions:-ended early}" "$(field cov)" "$(field ft)" "$(field corp)"
done
