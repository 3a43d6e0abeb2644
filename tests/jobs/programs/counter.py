# Appends a line a step to a file, as a job that must not lose or repeat any.
# Usage: counter.py STEPS FILE PAUSE
import sys
import time

steps, path, pause = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
with open(path, "a") as out:
    for step in range(steps):
        print(step, file=out, flush=True)
        time.sleep(pause)
