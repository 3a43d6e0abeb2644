"""A parent, a worker and a server that talk through unix sockets: multiprocessing's pipes, which are pairs of them,
and asyncio's streams, over an abstract name and with what asyncio keeps to wake itself up.

Usage: python3 sockets.py STEPS ROUNDS
"""

import asyncio
import multiprocessing
import os
import sys

STEPS, ROUNDS = int(sys.argv[1]), int(sys.argv[2])
NAME = f"\0sockets-{os.getpid()}"


def advance(state):
    for _ in range(ROUNDS):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return state


def work(connection):
    """Answers each step with the state after it."""
    while (message := connection.recv()) is not None:
        step, state = message
        connection.send((step, advance(state)))


async def serve(ready):
    """Writes down what it is told, and says it back."""
    ended = asyncio.Event()
    log = open("received.txt", "w")

    async def handle(reader, writer):
        while line := await reader.readline():
            log.write(line.decode())
            log.flush()
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        ended.set()

    server = await asyncio.start_unix_server(handle, NAME)
    ready.send(True)
    await ended.wait()
    server.close()


async def run(worker):
    reader, writer = await asyncio.open_unix_connection(NAME)
    state = 1
    for step in range(STEPS):
        worker.send((step, state))
        await asyncio.sleep(0.01)
        while not worker.poll():
            await asyncio.sleep(0.003)
        told, state = worker.recv()
        line = f"received {step} {state:016x}\n"
        writer.write(line.encode())
        await writer.drain()
        answer = (await reader.readline()).decode()
        if told != step or answer != line.upper():
            sys.exit(f"step {step}: the worker answered {told}, the server {answer!r}")
        print(f"step {step} {state:016x}", flush=True)
    writer.close()
    await writer.wait_closed()


def main():
    fork = multiprocessing.get_context("fork")
    worker, workers_end = fork.Pipe()
    ready, servers_end = fork.Pipe()
    tasks = [
        fork.Process(target=work, args=(workers_end,)),
        fork.Process(target=lambda: asyncio.run(serve(servers_end))),
    ]
    for task in tasks:
        task.start()
    ready.recv()
    asyncio.run(run(worker))
    worker.send(None)
    for task in tasks:
        task.join()
    print("done" if [task.exitcode for task in tasks] == [0, 0] else "failed", flush=True)


main()
