#!/usr/bin/env bash
# Searches the disassembly of object files for innermost loops that keep vector registers on the stack (spills).
#
#   check_spills.sh [-a] OBJDUMP OBJECT...
#
# A loop is the code from the target of a backward branch to the branch; it is an innermost loop if no other loop lies
# inside it. The script checks innermost loops with at least 4 instructions that add to a sum of vectors, in the files
# in which convolutions spend their time. It skips functions named column_*, because the transforms of Winograd columns
# use a buffer of up to 36 vectors. A spill is an instruction with a vector register and the stack pointer, or the
# frame pointer if the function has set one up.
#
# For each object the script prints the number of these loops, and it names each loop that has spills. The exit code is
# 1 if there are spills, or if an object has no such loop at all. With -a, the script checks all files and all
# innermost loops with at least one such instruction, and an object without such a loop is no error.
set -eu
few=4
files='cpu_(gemm|conv_rows|conv_wgrad.*|wino_load|peak)\.c'
skip='^<column_'
if [ "$1" = -a ]; then
  few=1 files=. skip='^$'
  shift
fi
objdump=$1
shift
check() {
  "$objdump" -d --no-show-raw-insn "$1" | awk -v object="$2" -v few=$few -v skip="$skip" '
    function hex(s,   i, n) {
      n = 0
      for (i = 1; i <= length(s); i++) n = n * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
      return n
    }
    # Checks the loops of the function that has just been read. Branch i is in line branch[i] and goes back to address
    # back[i].
    function finish(   i, k, inner, sums, spills) {
      for (i = 0; i < n_back; i++) {
        inner = back[i] in line_at
        for (k = 0; inner && k < n_back; k++)
          if (k != i && back[k] in line_at && line_at[back[k]] >= line_at[back[i]] && branch[k] <= branch[i] &&
              (line_at[back[k]] > line_at[back[i]] || branch[k] < branch[i])) inner = 0
        if (!inner) continue
        sums = spills = 0
        for (k = line_at[back[i]]; k <= branch[i]; k++) {
          if (text[k] ~ sum) sums++
          if (text[k] ~ vector && (text[k] ~ stack || framed && text[k] ~ /\(%rbp/)) spills++
        }
        if (sums < few || name ~ skip) continue
        n_loops++
        if (spills) {
          n_bad++
          printf "%s: %s at %x: %d of %d instructions move vectors to or from the stack, %d sums\n",
                 object, name, back[i], spills, branch[i] - line_at[back[i]] + 1, sums
        }
      }
      n = n_back = framed = 0
      split("", line_at)
    }
    BEGIN {
      sum = "vfn?m(add|sub)[0-9]*ps|addps|fmla|fmls"
      vector = "%[xyz]mm|[^a-z]q[0-9]|[^a-z]v[0-9]"
      stack = "\\(%rsp|\\[sp"
    }
    / <.*>:$/ { finish(); name = $2; next }
    /^ *[0-9a-f]+:/ {
      at = $1
      sub(":", "", at)
      at = hex(at)
      line_at[at] = n
      if ($0 ~ /mov +%rsp,%rbp/) framed = 1
      if ($2 ~ /^(j|b$|b\.|cb|tb)/ && match($0, /[0-9a-f]+ </)) {
        goal = hex(substr($0, RSTART, RLENGTH - 2))
        if (goal <= at) {
          back[n_back] = goal
          branch[n_back++] = n
        }
      }
      text[n++] = $0
    }
    END {
      finish()
      printf "%s: %d inner loops with sums of vectors, %d with spills\n", object, n_loops, n_bad
      exit n_bad > 0 || few > 1 && n_loops == 0
    }'
}
bad=0
for object; do
  [[ $object =~ $files ]] || continue
  name=${object##*u3d_cpu_}
  name=${name/.dir\/kernels/}
  check "$object" "${name%.o}" || bad=1
done
exit $bad
