# Inserts a row a step into a database, each in a transaction of its own.
# Usage: table.py STEPS FILE PAUSE
import sqlite3
import sys
import time

steps, path, pause = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
rows = sqlite3.connect(path)
rows.execute("create table if not exists steps (step integer)")
for step in range(steps):
    with rows:
        rows.execute("insert into steps values (?)", (step,))
    time.sleep(pause)
