"""Processes that share a queue, a lock, and memory. Usage: processes.py ITEMS [named]   named: memory with a name, too"""
import multiprocessing
import sys
import time
from multiprocessing import shared_memory

WORKERS = 4


def work(tasks, results, lock, total, seen, name):
    memory = shared_memory.SharedMemory(name) if name else None
    for item in iter(tasks.get, None):
        with lock:
            total.value += item
            seen[item] += 1
            if memory:
                memory.buf[item % 64] += 1
        time.sleep(0.005)
        results.put((item, item * item))
    if memory:
        memory.close()


def main():
    items = int(sys.argv[1])
    memory = shared_memory.SharedMemory(create=True, size=64) if "named" in sys.argv else None
    tasks, results = multiprocessing.Queue(), multiprocessing.Queue()
    lock = multiprocessing.Lock()
    total = multiprocessing.Value("q", 0, lock=False)
    seen = multiprocessing.Array("i", items, lock=False)
    arguments = (tasks, results, lock, total, seen, memory and memory.name)
    workers = [multiprocessing.Process(target=work, args=arguments) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for item in [*range(items), *[None] * WORKERS]:
        tasks.put(item)
    squares = {}
    for count in range(items):
        item, square = results.get()
        squares[item] = square
        print("step", count, flush=True)
    for worker in workers:
        worker.join()
    print("total", total.value, sum(squares.values()), set(seen), [worker.exitcode for worker in workers])
    if memory:
        marks = sum(memory.buf)
        memory.close()
        memory.unlink()
        print("named", marks)


main()
