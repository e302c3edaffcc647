# Tests of `u3d report`: the page contains every part, needs no other file, and is not written if something is missing.
. "$(dirname "$0")/common.sh"
small="--net auto --set base=4 --set levels=2 --set patch=24x24x24 --set batch=1"

expect 0 '6 volumes' "$u3d" phantom --out data --count 6 --size 40x36x32 --slices 3,3,3
expect 0 'trained one' "$u3d" train --data data --out one --iterations 12 --validate-every 4 $small
expect 0 'trained two' "$u3d" train --data data --out two --iterations 8 --validate-every 4 $small --set lr=0.001
expect 0 '' "$u3d" predict --model one --data data --output predictions
expect 0 'page.html' "$u3d" report --out page.html --title 'one <b>& two' one two --prediction predictions --reference data/labelsDense
check "the page loads nothing from other files" test -z "$(grep -Eo '(src|href)="[^"]{0,12}' page.html | grep -v 'src="data:image')"
check "the title is escaped" grep -q '<h1>one &lt;b&gt;&amp; two</h1>' page.html
check "the page has two charts with two lines each" test "$(grep -c '<polyline' page.html)" -eq 4
check "the charts mark the five validations" test "$(grep -c '<circle' page.html)" -eq 5
check "the page has a table of scores" grep -q '<td>foreground</td><td>0\.' page.html
check "the page contains a picture" grep -q 'data:image/png;base64,iVBOR' page.html
check "report writes no separate picture" test ! -e page.html.png
check "settings that differ between the runs are in a table" grep -q '<td>lr</td><td>0.002</td><td>0.001</td>' page.html
check "settings that the runs have in common are listed" grep -q '<dt>base</dt><dd>4</dd>' page.html
expect 2 'exists already' "$u3d" report --out page.html one
expect 0 '' "$u3d" evaluate --prediction predictions --reference data/labelsDense --csv scores.csv --picture cases.png
expect 0 '' "$u3d" report --out table.html --csv scores.csv --picture cases.png
check "the page has the table of the CSV" grep -q '<th>case</th><th>label</th><th>Dice</th>' table.html
printf 'share,IoU,net\n1,0.5,a\n2,0.6,a\n1,0.4,b\n2,,b\n' >points.csv
expect 0 '' "$u3d" report --out chart.html --chart points.csv:share,IoU,net
check "the chart has a line for each net and no mark for an empty value" test "$(grep -c '<polyline' chart.html)" -eq 2 -a "$(grep -c '<circle' chart.html)" -eq 3
expect 2 "no column 'Dice'" "$u3d" report --out none.html --chart points.csv:share,Dice,net
expect 2 'FILE:X,Y,BY' "$u3d" report --out none.html --chart share,IoU,net
expect 2 'nothing to show' "$u3d" report --out none.html
expect 3 'config.json' "$u3d" report --out none.html data
printf 'iteration,seconds,loss\n' >two/log.csv
expect 3 'no iteration yet' "$u3d" report --out none.html two
expect 2 '--reference' "$u3d" report --out none.html --prediction predictions
check "a failed report writes no page" test ! -e none.html
finish
