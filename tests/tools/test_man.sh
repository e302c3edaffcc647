# Tests of the manual pages: there must be one per command, with the summary and exactly the options of the program's
# tables; u3d(1) must have the list of commands and the options of every command. An option of a page is a line that
# begins with .B or .BI and follows .TP.
. "$(dirname "$0")/common.sh"
man=$root/tools/man

# page_options FILE: the options of a page, in the form of common.sh's options.
page_options() {
  awk '/^\.SH/ { on = $2 == "OPTIONS" } on && tag && /^\.BI? / { print } { tag = /^\.TP/ }' "$1" |
    sed 's/^\.BI* //; s/\\-/-/g; s/^-[a-z], //' | tr -d ' []'
}

# same WHAT FILE FILE: succeeds if both files have the same lines, in any order.
same() {
  if diff <(sort "$2") <(sort "$3") >out.txt 2>err.txt; then passed=$((passed + 1)); else fail "$1" diff "$2" "$3"; fi
}

for c in $(commands); do
  page=$man/u3d-$c.1
  check "there is a page for $c" test -s "$page" || continue
  summary=$("$u3d" "$c" --help | awk -v RS= 'NR == 2')
  check "$c: the page has the summary '$summary'" \
    test "$(sed -n '/^\.SH NAME/{n;s/\\-/-/g;p}' "$page")" = "u3d-$c - $summary"
  check "u3d(1) lists $c" test "$(grep -A1 -xF ".BR u3d\\-$c (1)" "$man/u3d.1" | sed -n '2{s/\\-/-/g;p}')" = "$summary"
  options "$c" options >ours.txt
  page_options "$page" >theirs.txt
  same "$c: the options of page and program (< program only, > page only)" ours.txt theirs.txt
done

options help 'options of every command' >ours.txt
page_options "$man/u3d.1" >theirs.txt
same "the options of every command (< program only, > page only)" ours.txt theirs.txt
check "there are options of every command" test "$(wc -l <ours.txt)" -ge 10

for page in "$man"/u3d-*.1; do
  name=$(basename "$page" .1)
  check "$name has a command" sh -c "'$u3d' help ${name#u3d-}"
done
for g in $("$u3d" settings | sed -n 's/^\([a-z]*\):$/\1/p'); do
  check "u3d-settings(1) explains the group $g" grep -qx "\.B $g" "$man/u3d-settings.1"
done

if command -v groff >/dev/null; then
  for page in "$man"/*.1; do
    groff -man -ww -z -Tutf8 "$page" 2>warnings.txt
    check "$(basename "$page") is free of warnings" test ! -s warnings.txt
  done
else
  echo "skipped: groff is not installed, so the pages were not formatted"
fi
finish
