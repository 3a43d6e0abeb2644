"""Computes with threads and a child process, all in control groups, and says whether these are what they were.

Usage: grouped.py STEPS
"""

import hashlib
import os
import sys
import threading
import time

steps = int(sys.argv[1])


def groups():
    """All groups but roots: hierarchies may come and go, and everybody is in the root of a new one."""
    with open("/proc/self/cgroup") as file:
        return [line for line in file if not line.endswith(":/\n")]


def compute(seed, results, index):
    digest = seed.encode()
    for _ in range(40):
        digest = hashlib.sha256(digest * 50).digest()
    results[index] = digest.hex()[:16]


to_child, from_parent = os.pipe()[::-1]
from_child, to_parent = os.pipe()
memory = bytearray(os.urandom(1 << 20) * 24)
check = hashlib.sha256(memory).digest()
start = groups()

child = os.fork()
if child == 0:
    os.close(to_child)
    os.close(from_child)
    while True:
        word = os.read(from_parent, 1)
        if not word:
            os._exit(0)
        same = groups() == start
        os.write(to_parent, b"y" if same else b"n")

os.close(from_parent)
os.close(to_parent)
for step in range(steps):
    results = [""] * 3
    threads = [
        threading.Thread(target=compute, args=(f"{step}.{i}", results, i)) for i in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(to_child, b"?")
    kept = os.read(from_child, 1) == b"y" and groups() == start
    time.sleep(0.02)
    print(f"step {step} {' '.join(results)} {'kept' if kept else 'moved'}", flush=True)
os.close(to_child)
os.waitpid(child, 0)
print("memory", "kept" if hashlib.sha256(memory).digest() == check else "lost", flush=True)
