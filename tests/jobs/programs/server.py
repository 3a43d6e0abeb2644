# Appends a line a step to a file, when a client asks for that step, and answers with the step that comes next. Who
# asks for another one, because this program was taken up from where it was earlier, gets the answer alone.
# Usage: server.py STEPS FILE PORT
import socket
import sys

steps, path, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
step = 0
with socket.create_server(("127.0.0.1", port)) as server, open(path, "a") as out:
    while step < steps:
        client, _ = server.accept()
        with client:
            try:
                for request in client.makefile("r"):
                    if int(request) == step:
                        print(step, file=out, flush=True)
                        step += 1
                    client.sendall(b"%d\n" % step)
                    if step == steps:
                        break
            except OSError:
                pass  # The connection was not there any more: the client makes another one.
