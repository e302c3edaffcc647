# Shared by the tests of the command line: a temporary folder, the path of the program, and functions that run a command
# and check what it does. With sanitizers TESTS_BRIEF is 1: a test may then leave out what only repeats lines of code.
set -u
u3d=$(realpath "$1")
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap '[ -n "${U3D_KEEP:-}" ] && echo "kept: $work" || rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
passed=0

# expect CODE PATTERN COMMAND...: runs the command and checks its exit code, and that a line of its output matches the
# pattern (grep -E; "" for none). An error must be one line.
expect() {
  local code=$1 pattern=$2 got
  shift 2
  "$@" >out.txt 2>err.txt </dev/null
  got=$?
  if [ "$got" -ne "$code" ]; then
    fail "exit code $got, expected $code" "$@"
  elif [ -n "$pattern" ] && ! cat out.txt err.txt | grep -Eq -- "$pattern"; then
    fail "no line matches '$pattern'" "$@"
  elif [ "$code" -ne 0 ] && [ "$code" -ne 130 ] && [ "$(grep -c '^u3d: error:' err.txt)" -ne 1 ]; then
    fail "expected one error sentence" "$@"
  else
    passed=$((passed + 1))
  fi
}

# check DESCRIPTION COMMAND...: checks that the command succeeds.
check() {
  local what=$1
  shift
  if "$@" >out.txt 2>err.txt </dev/null; then passed=$((passed + 1)); else fail "$what" "$@"; fi
}

fail() {
  failures=$((failures + 1))
  echo "FAILED: $1"
  shift
  echo "  command: $*"
  sed 's/^/  | /' out.txt err.txt | head -20
}

# The commands that u3d has, as its help lists them.
commands() {
  "$u3d" --help | sed -n '/^options/q; s/^  \([a-z][a-z]*\) .*/\1/p'
}

# options COMMAND [HEADING]: what `--help=all` lists, or lists below a heading, as --NAME=ARGUMENT or --NAME.
options() {
  "$u3d" "$1" --help=all | awk -v heading="${2:-}" '/^[a-z].*:$/ { on = heading == "" || $0 == heading ":" } on' |
    sed -n 's/^  \(-[a-z], \)*\(--[^ ]*\).*/\2/p' | tr -d '[]'
}

finish() {
  echo "$passed passed, $failures failed"
  [ "$failures" -eq 0 ]
}
