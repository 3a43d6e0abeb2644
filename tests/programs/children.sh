# A loop of children: commands, substitutions, subshells, pipelines, background jobs and what they return.
#
# Usage: bash children.sh STEPS
#
# Each step prints what its children made of the step's number. A child that is lost, run twice or reaped by
# nobody, a byte in a pipe, or a status that gets lost makes a line wrong, or stops the loop for ever.

trap 'usr1=$((usr1 + 1))' USR1
usr1=0
exec 3>log.txt

for ((i = 0; i < $1; i++)); do
	square=$(expr $i \* $i)
	words=$( (echo "a $i"; sleep 0.01; echo "b $i") | tr 'ab' 'xy' | paste -sd, -)
	(sleep 0.02; exit $((i % 5))) &
	first=$!
	(sleep 0.01; echo "background $i" >&3; exit $((i % 3 + 10))) &
	second=$!
	total=$(seq 1 50 | awk -v i=$i '{ sum += $1 * i } END { print sum }')
	wait $first; one=$?
	wait $second; two=$?
	read -r here < <(sleep 0.005; echo "here $i")
	(kill -USR1 $$)
	echo "step $i $square $words $total $one $two $here $usr1"
done
echo done
exit 7
