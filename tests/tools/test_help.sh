# Tests of help: it is short by default and complete on demand, and everything that it lists exists.
. "$(dirname "$0")/common.sh"

# at_most N FILE: succeeds if FILE has at most N lines, none of them wider than 80 columns.
at_most() {
  [ "$(wc -l <"$2")" -le "$1" ] && [ "$(wc -L <"$2")" -le 80 ]
}

for c in $(commands); do
  expect 0 "^usage: u3d $c" "$u3d" "$c" --help
  cp out.txt help.txt
  check "$c --help prints nothing on stderr" test ! -s err.txt
  check "$c --help is a screen" at_most 35 help.txt
  "$u3d" help "$c" >same.txt
  check "u3d help $c is u3d $c --help" cmp help.txt same.txt
  expect 0 "^usage: u3d $c" "$u3d" --help "$c"
  "$u3d" "$c" --help=all >all.txt
  check "$c --help=all is narrow" at_most 200 all.txt
  check "$c --help=all has the options of every command" grep -q '^  --memory' all.txt
  check "$c: two examples" test "$(sed -n '/^examples:/,/^$/p' help.txt | grep -c '^  ')" -eq 2

  # Every option in an example and in the usage line is one of the command.
  options "$c" | sed 's/=.*//' >known.txt
  for o in $(sed -n '/^usage:/,/^$/p; /^examples:/,/^$/p' help.txt | grep -o -e '--[a-z-]*' | sort -u); do
    check "$c: its help uses $o" grep -qx -e "$o" known.txt
  done
  # Every option is described by --help or named there.
  while read -r o; do check "$c --help names $o" grep -q -e "$o\b" help.txt; done <known.txt
done

"$u3d" help >help.txt
"$u3d" --help >same.txt
check "u3d help is u3d --help" cmp help.txt same.txt
expect 0 '^usage: u3d augment' "$u3d" --help=all
expect 0 '^usage: u3d train' "$u3d" train -h
expect 2 "unknown command 'trin'; did you mean 'train'" "$u3d" help trin
expect 2 "unexpected 'predict'" "$u3d" help train predict
expect 2 "found 'everything', expected settings or all" "$u3d" train --help=everything

# Settings: the same list from the command and from any --help, as text and as JSON.
expect 0 'foreground_share=0\.33' "$u3d" settings
cp out.txt settings.txt
check "settings are narrow" at_most 400 settings.txt
for g in network voxels patches augmentation loss optimizer prediction execution; do
  check "settings have the group $g" grep -qx "$g:" settings.txt
done
check "default, meaning and legal words of a setting" grep -q '^  norm=instance .*\[none | batch' settings.txt
check "the range of a setting" grep -q '\[integer 1\.\.7\]' settings.txt
"$u3d" train --help=settings >same.txt
check "train --help=settings is u3d settings" cmp settings.txt same.txt
expect 0 '^optimizer:' "$u3d" settings optimizer fuse
check "a group and a key" test "$(grep -c '^[a-z]*:$' out.txt)" -eq 2
expect 2 "unknown setting or group 'augmentaton'; did you mean 'augmentation'" "$u3d" settings augmentaton

expect 0 '"key":\s*"foreground_share"' "$u3d" settings --json
cp out.txt settings.json
check "as many keys as in the text" test "$(grep -c '"key":' settings.json)" -eq "$(grep -c '^  [a-z0-9_]*=' settings.txt)"
for member in key group type default low high words help; do
  check "every setting has $member" test "$(grep -c "\"$member\":" settings.json)" -eq "$(grep -c '"key":' settings.json)"
done
check "numbers are numbers" grep -q '"default":\s*0.33,' settings.json
expect 0 '"words":\s*\["sgd", "adam"\]' "$u3d" settings optimizer --json

# Words that help offers as values are accepted.
for net in $(options info | sed -n 's/^--net=//p' | tr '|' ' '); do
  case $net in
    auto) expect 2 'planned from data' "$u3d" info --net "$net" ;;
    FILE) ;;
    *) expect 0 parameters "$u3d" info --net "$net" --backend=cpu ;;
  esac
done
finish
