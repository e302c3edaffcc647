# Tests of completion: the scripts of `u3d completion` must offer what the tables say. The functions of the bash script
# are called as bash calls them, with the words as readline splits the line. Of the zsh script only the syntax is
# checked, if zsh is installed.
. "$(dirname "$0")/common.sh"

expect 0 'complete -F _u3d u3d' "$u3d" completion bash
cp out.txt u3d.bash
expect 0 '^#compdef u3d' "$u3d" completion zsh
cp out.txt _u3d
expect 2 'expected bash or zsh' "$u3d" completion
expect 2 "found 'fish', expected bash or zsh" "$u3d" completion fish
check "the bash script is valid" bash -n u3d.bash
if command -v zsh >/dev/null; then
  check "the zsh script is valid" zsh -n _u3d
else
  echo "skipped: zsh is not installed, so the syntax of its script was not checked"
fi
mkdir -p 'my data/images' data && touch image.nii.gz 'my data/x.json'

# offers EXPECTED WORD...: checks the replies to a line u3d WORD... whose last word is being typed. In EXPECTED, each
# reply ends with ";", and "a;...;" means that a is the first of several.
cat >ask.bash <<'ASK'
. ./u3d.bash
COMP_WORDS=(u3d "$@")
COMP_CWORD=$#
_u3d
for reply in "${COMPREPLY[@]}"; do printf '%s;' "$reply"; done
ASK
offers() {
  local expected=$1 got
  shift
  got=$(bash --norc ask.bash "$@" 2>err.txt)
  echo "$got" >out.txt
  if [[ $expected == *'...;' && $got == "${expected%...;}"*';' ]] || [ "$got" = "$expected" ] && [ ! -s err.txt ]; then
    passed=$((passed + 1))
  else
    fail "expected $expected, got $got" u3d "$@"
  fi
}

# Commands, before and after options of every command.
offers 'train;' tra
offers 'train;predict;...;' ''
offers 'predict;' --threads 2 --json pre
offers 'predict;' --threads = 2 pre
offers 'info;' -q inf

# Options: those of the command and those of every command, but none of another command.
offers '--out;' train --ou
offers '--output;' predict --ou
offers '--folds;--force;' crossval --fo
offers '--json;' devices --js
offers '' train --tolerance
offers '--backend;--device;...;' --

# Values: words, files, folders, nothing.
offers 'auto;cpu;opencl;' --backend ''
offers 'cpu;' train --backend = c
offers 'cpu;' train --backend c
offers 'train;infer;' info --plan ''
offers 'paper;paper-bn;paper2d;' info --net pap
offers 'paper2d;' info --net = paper2
offers 'data;' train --data da
offers 'my data;' train --data my
offers 'image.nii.gz;' train --image im
offers 'image.nii.gz;' train --image = im
offers '' train --data im
offers 'data;' predict --input da
offers 'data;' predict --model da
offers '' train --fold ''
offers '' train --seed = ''
offers 'settings;all;' train --help = ''
offers 'train;' --help tr

# Settings: keys, then what a key may be.
offers 'levels=;leaky_slope=;' train --set le
offers 'none;batch;instance;' train --set norm = ''
offers 'instance;' train --set norm = ins
offers 'instance;' train --set = norm = ins
offers 'ce+dice;' train --set loss = ce+
offers 'true;false;' train --set nesterov = ''
offers '' train --set base = ''

# Words after the options.
offers 'image.nii.gz;' predict --model run im
offers 'bash;zsh;' completion ''
offers 'train;tune;' help t
offers 'optimizer;' settings loss opt
offers '' evaluate ima
finish
