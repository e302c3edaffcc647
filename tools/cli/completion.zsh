# Offers what is expected: words, or kinds of words in capitals.
_u3d_value() {
  local kind result=1
  local -a words
  for kind; do
    case $kind in
      FILE) _files && result=0 ;;
      DIR) _files -/ && result=0 ;;
      SETTING) _u3d_setting && result=0 ;;
      KEY) words+=(${=_u3d_keys}) ;;
      GROUP) words+=(${=_u3d_groups}) ;;
      COMMAND) _describe -t commands command _u3d_commands && result=0 ;;
      NONE) ;;
      *) words+=($kind) ;;
    esac
  done
  (($#words)) && compadd -- $words && result=0
  return result
}

# KEY=VALUE.
_u3d_setting() {
  local key
  if [[ $PREFIX == *=* ]]; then
    key=${PREFIX%%=*}
    compset -P 1 '*='
    _u3d_value ${=$(_u3d_setting_words $key)}
  else
    compadd -S = -- ${=_u3d_keys}
  fi
}

_u3d() {
  local curcontext=$curcontext state state_descr line
  local -a own
  typeset -A opt_args
  _arguments -C $_u3d_every '1: :->command' '*:: :->words' && return
  case $state in
    command) _describe -t commands command _u3d_commands ;;
    words)
      _u3d_own $words[1]
      _arguments $_u3d_every $own
      ;;
  esac
}

# Read by the completion system, this file is the body of _u3d; read by `source`, it defines _u3d.
if [[ $funcstack[1] == _u3d ]]; then
  _u3d "$@"
else
  compdef _u3d u3d
fi
