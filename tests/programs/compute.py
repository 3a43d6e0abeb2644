"""Arithmetic whose result is known, paced by a signal timer, with threads, a pipe to itself and files.

Usage: compute.py STEPS ROUNDS

Each step waits for a tick of ITIMER_REAL, which arrives as SIGALRM, and makes ROUNDS rounds of a linear
congruential generator. It prints the state, tells a thread through a pipe, and has another thread write a
line. What comes out of the pipe must be the same numbers in the same order. A timer, a thread, a lock, a
byte in the pipe or a position in a file that is lost, or comes twice, shows in what stands in the files.
"""

import os
import queue
import signal
import struct
import sys
import threading
import time

STEPS, ROUNDS = int(sys.argv[1]), int(sys.argv[2])
MASK = (1 << 64) - 1
ticks = 0


def on_tick(_signal, _frame):
    global ticks
    ticks += 1


def receive(end, out):
    """Takes records of 16 bytes out of the pipe; slow, so that some are in it at any time."""
    with os.fdopen(end, "rb", buffering=0) as pipe:
        while record := pipe.read(16):
            step, state = struct.unpack("<QQ", record)
            out.write(f"received {step} {state:016x}\n")
            time.sleep(0.03 if step % 8 == 0 else 0.01)


def write_lines(lines, path):
    """Writes what the queue gives into a file with a buffer of its own, and over its own head line."""
    with open(path, "w+", encoding="ascii") as file:
        file.write("0000\n")
        count = 0
        while (line := lines.get()) is not None:
            file.write(line)
            count += 1
            if count % 10 == 0:
                file.seek(0)
                file.write(f"{count:04}\n")
                file.seek(0, os.SEEK_END)


def main():
    signal.signal(signal.SIGALRM, on_tick)
    read_end, write_end = os.pipe()
    received = open("received.txt", "w", encoding="ascii", buffering=1)
    lines = queue.Queue()
    threads = [
        threading.Thread(target=receive, args=(read_end, received)),
        threading.Thread(target=write_lines, args=(lines, "lines.txt")),
    ]
    for thread in threads:
        thread.start()
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)

    state = 1
    for step in range(STEPS):
        while ticks <= step:
            time.sleep(0.005)
        for _ in range(ROUNDS):
            state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        print(f"step {step} {state:016x}", flush=True)
        os.write(write_end, struct.pack("<QQ", step, state))
        lines.put(f"line {step} {state:016x}\n")

    signal.setitimer(signal.ITIMER_REAL, 0)
    lines.put(None)
    os.close(write_end)
    for thread in threads:
        thread.join()
    received.close()
    print("done", flush=True)


main()
