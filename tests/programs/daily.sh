# What flock and anacron run: the numbers of its steps, one by one.
#
# Usage: bash daily.sh STEPS FILE

for ((i = 0; i < $1; i++)); do
	echo "step $i " >>"$2"
	sleep 0.02
done
