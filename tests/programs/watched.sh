# A directory in which files come to be, and inotifywait, which tells of them.
#
# Usage: bash watched.sh STEPS
#
# Each step is done when inotifywait has told of a file that was made for it. An event that waits while all stands still
# is lost by a restore, which the checkpoint says: so a step makes another file where nothing is told for a while.

mkdir watched
# They are looked into before inotifywait may have come to open them.
: >seen
: >told
inotifywait -m -e create --format '%f' watched >seen 2>told &
watcher=$!
until grep -q established told; do sleep 0.01; done

for ((i = 0; i < $1; i++)); do
	for ((file = 0; ; file++)); do
		touch "watched/$i.$file"
		for _ in {1..100}; do
			grep -q "^$i\\." seen && break 2
			sleep 0.01
		done
	done
	echo "step $i "
done
kill $watcher
wait $watcher
echo done
