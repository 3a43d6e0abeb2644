# A shell with jobs: one that is stopped all the time, one that runs, and others that come and go. Usage: jobs.sh STEPS
# It looks at its own processes alone (ps reads the files of all): those of others are not in a pid namespace of its own.
set -m
steps=$1

count() {
	for ((i = 0; i < steps; i++)); do
		echo "$1 $i" >>"$1.txt"
		sleep 0.01
	done
	exit "$2"
}

count running 3 &
running=$!
count stopped 4 &
stopped=$!
until [ -s stopped.txt ]; do sleep 0.01; done
kill -STOP %2
until [ "$(jobs -s | wc -l)" = 1 ]; do sleep 0.01; done

for ((step = 0; step < steps; step++)); do
	(exit $((step % 7))) &
	wait $!
	status=$?
	echo "step $step $status $(jobs -s | wc -l) $(cut -d" " -f3 /proc/$stopped/stat)"
done
wait $running
echo "running $?"
bg %2 >/dev/null
wait $stopped
echo "stopped $?"
