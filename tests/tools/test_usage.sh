# Tests of usage: help, version, unknown commands and options, missing and contradicting options. An error must give
# exit code 2 and one sentence, and nothing may be written.
. "$(dirname "$0")/common.sh"

expect 0 'usage: u3d COMMAND' "$u3d" --help
expect 0 '^u3d [0-9]+\.[0-9]+\.[0-9]+ \(' "$u3d" --version
for c in train predict evaluate crossval report info devices verify bench tune sparsify phantom picture augment settings help completion; do
  expect 0 "usage: u3d $c" "$u3d" $c --help
done

expect 2 'no command' "$u3d"
expect 2 "unknown command 'trian'; did you mean 'train'" "$u3d" trian
expect 2 "unknown command 'trian'; did you mean 'train'" "$u3d" --threads 2 trian
expect 2 "unknown option '--nonsense'" "$u3d" info --net paper --nonsense
expect 2 "unknown option '--itrations=5'; did you mean '--iterations'" "$u3d" train --itrations=5
expect 2 "unknown option '--out'; did you mean '--output'" "$u3d" predict --out x
expect 2 "unknown option '--jsno'; did you mean '--json'" "$u3d" devices --jsno
expect 2 'missing argument' "$u3d" train --data
expect 2 'does not take an argument' "$u3d" train --dense=3
expect 2 "unexpected 'extra'" "$u3d" info --net paper extra
expect 2 'expected --net or --model' "$u3d" info
expect 2 '\-\-out RUN is missing' "$u3d" train --data .
expect 2 'expected --data DIR' "$u3d" train --out run
expect 2 'exclude each other' "$u3d" train --out run --data . --image a --label b
expect 2 'need each other' "$u3d" train --out run --data . --fold 1
expect 2 'not both' "$u3d" train --out run --data . --time 5m --iterations 3
expect 2 "found '5 parsecs'" "$u3d" train --out run --data . --time '5 parsecs'
expect 2 "found 'zero'" "$u3d" train --out run --data . --iterations zero
expect 2 'exclude each other' "$u3d" train --out run --data . --dense --unlabeled 0
expect 2 'no run' "$u3d" train --out run --resume
expect 2 "unknown backend|known" "$u3d" info --net paper --backend=abacus
expect 2 'expected a size such as' "$u3d" predict --model m --output o --input i --memory=much
expect 2 "found '0'" "$u3d" devices --ops --threads 0
expect 2 'nothing to tune' "$u3d" tune --backend=cpu
expect 2 "net|preset|paper" "$u3d" info --net papers
expect 2 'level' "$u3d" info --net paper --set levles=3
expect 2 'base' "$u3d" info --net paper --set base=-3
expect 2 '130|124|132|140' "$u3d" info --net paper --input 131x132x116
expect 2 'out DIR is missing' "$u3d" augment --data .
expect 2 'two numbers low,high' "$u3d" info --net paper --set scaling=0.7
expect 2 'expected three counts' "$u3d" sparsify --label a --output b --slices 1,2
expect 2 'expected groups of values' "$u3d" sparsify --label a --output b --merge 1-x
for planes in w=1 z=3-1 z=-1 z=3x z 3-4; do
  expect 2 'expected planes across an axis' "$u3d" sparsify --label a --output b --slices 1,1,1 --missing $planes
done
check "nothing was written" test -z "$(ls | grep -v -e out.txt -e err.txt)"

# Global options stand before or after the command.
expect 0 '19069955' "$u3d" --json info --net paper
expect 0 '19069955' "$u3d" info --net paper --json
expect 0 '19074627' "$u3d" --threads 1 info --net paper-bn
expect 0 'MAXPOOL|maxpool3d' "$u3d" devices --ops
expect 0 'U3D_CPU_ISA' "$u3d" devices --env
expect 0 'digraph' sh -c "'$u3d' info --net paper --dot net.dot && cat net.dot"
expect 2 'exists already' "$u3d" info --net paper --dot net.dot
finish
