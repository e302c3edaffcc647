# Adds the words that begin with what was typed to the reply: options of compgen, then what was typed.
_u3d_reply() {
  local word
  while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen "$@")
}

# Offers what is expected ($1, see _u3d_expected) for $2. The same word of the line begins with $3, for example "--net=".
_u3d_value() {
  local kind words=''
  for kind in $1; do
    case $kind in
      FILE)
        compopt -o filenames 2>/dev/null
        _u3d_reply -P "$3" -f -- "$2"
        ;;
      DIR)
        compopt -o filenames 2>/dev/null
        _u3d_reply -P "$3" -d -- "$2"
        ;;
      SETTING)
        if [[ $2 == *=* ]]; then
          _u3d_value "$(_u3d_setting_words "${2%%=*}")" "${2#*=}" "$3${2%%=*}="
        else
          compopt -o nospace 2>/dev/null
          _u3d_reply -P "$3" -S = -W "$_u3d_keys" -- "$2"
        fi
        ;;
      KEY) words+=" $_u3d_keys" ;;
      GROUP) words+=" $_u3d_groups" ;;
      COMMAND) words+=" $_u3d_commands" ;;
      NONE) ;;
      *) words+=" $kind" ;;
    esac
  done
  _u3d_reply -P "$3" -W "$words" -- "$2"
}

_u3d() {
  local -a words=()
  local i word typed command='' before=''
  COMPREPLY=()

  # 1. The words up to the cursor. Readline splits them at "=", u3d does not.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if ((${#words[@]})) && [[ $word == =* || ${words[-1]} == *= ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
  done
  typed=${words[-1]}
  unset 'words[-1]'

  # 2. The command, and the option whose value is typed now, if any.
  for word in "${words[@]}"; do
    if [[ $before ]]; then
      before=''
    elif [[ $word == -* ]]; then
      [[ $(_u3d_expected "$command" "$word") ]] && before=$word
    elif [[ ! $command ]]; then
      command=$word
    fi
  done

  # 3. The reply.
  if [[ $before ]]; then
    _u3d_value "$(_u3d_expected "$command" "$before")" "$typed" ''
  elif [[ $typed == --*=* ]]; then
    word=${typed%%=*}
    _u3d_value "$(_u3d_expected "$command" "$word")$(_u3d_expected "$command" "$word=")" "${typed#*=}" "$word="
  elif [[ $typed == -* ]]; then
    _u3d_reply -W "$(_u3d_own "$command") $_u3d_every" -- "$typed"
  elif [[ ! $command ]]; then
    _u3d_value COMMAND "$typed" ''
  else
    _u3d_value "$(_u3d_expected "$command" words)" "$typed" ''
  fi

  # 4. Readline replaces only what follows the last "=" that it split at.
  if [[ $typed == *=* && $COMP_WORDBREAKS == *=* ]]; then
    word=${typed%"${typed##*=}"}
    COMPREPLY=("${COMPREPLY[@]#"$word"}")
  fi
}
complete -F _u3d u3d
