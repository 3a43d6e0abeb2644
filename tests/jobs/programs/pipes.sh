# Appends a line a step to a file, at the end of a pipe that other processes fill.
# Usage: pipes.sh STEPS FILE PAUSE
seq 0 $(($1 - 1)) | while read -r step; do echo "$step"; sleep "$3"; done | cat >>"$2"
