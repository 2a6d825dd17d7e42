#!/usr/bin/env bash
# Prints what run.sh has done, as a table, out of its logs.
#
#   fuzz/table.sh LOGS TARGET...
set -uo pipefail
logs=$1
shift
printf '| target | seconds of the processor | executions | cov | ft | corpus |\n|---|---:|---:|---:|---:|---:|\n'
for target in "$@"; do
  log=$logs/$target.log
  [ -f "$log" ] || continue
  last=$(grep -aE '^#[0-9]+.*cov: ' "$log" | tail -1)
  field() { sed -n "s/.* $1: \([0-9]*\).*/\1/p" <<<"$last"; }
  # What was ended by what it found has no figures at its end.
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '| `%s` | %s | %s | %s | %s | %s |\n' "$target" "$(cat "$logs/$target.cpu" 2>/dev/null)" \
    "${executions:-ended early}" "$(field cov)" "$(field ft)" "$(field corp)"
done
