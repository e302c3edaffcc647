#!/usr/bin/env bash
# The coverage gate: which share of the lines of the product the tests have executed. Run it after ctest in a build
# with U3D_COVERAGE (preset sanitize).
#
#   tests/coverage.sh BUILD [REPORT.html]
#
# Each part below must reach its share, and a file below LEAST must be listed in tests/uncovered.txt with the reason.
set -eu
build=$(realpath "$1")
report=${2:+$(realpath -m "$2")}
LEAST=80
cd "$(dirname "$0")/.."
lines=$build/coverage.json
gcovr --root . --object-directory "$build" --gcov-ignore-parse-errors \
  --filter '(engine|backends|io|net|tools)/' --json "$lines" "$build" 2>"$build/gcovr.log" ||
  { tail -3 "$build/gcovr.log" >&2; exit 1; }
[ -z "$report" ] || gcovr --root . --add-tracefile "$lines" --html-details "$report"

failed=0
part() { # part FOLDER PERCENT
  share=$(gcovr --root . --add-tracefile "$lines" --filter "$1/" | awk '$1 == "TOTAL" {print $4}')
  echo "coverage of $1: $share of the lines, at least $2% expected"
  [ "${share%\%}" -ge "$2" ] || failed=1
}
part engine 92
part backends/cpu 92
part net 92
part io 95

low=$(gcovr --root . --add-tracefile "$lines" --filter '(engine|backends/cpu|io|net)/' |
  awk -v least=$LEAST '$4 ~ /%$/ && $1 != "TOTAL" {sub("%", "", $4); if ($4 + 0 < least) print $1, $4}')
while read -r file share; do
  [ -z "$file" ] && continue
  grep -q "^$file:" tests/uncovered.txt && continue
  echo "$file: $share% of the lines are executed; test it, or give the reason in tests/uncovered.txt" >&2
  failed=1
done <<<"$low"
exit $failed
