/**
 * TCP connections in every state of closing that a program can have a descriptor of, with both ends in the tree and with
 * one outside: the bytes that were on their way come, and then the end that was.
 */
import assert from "@std/assert";
import { checkpoint, restore } from "../../mod.ts";
import { waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { ImageHome } from "./round_trip.ts";

/**
 * Has a connection in each state; with an argument the other ends are its parent's, outside of the tree. At SIGUSR1 it
 * tells the states, at SIGUSR2 what comes by each end, to the end of it: those that are closing are full.
 */
const PROGRAM = `
import hashlib, os, select, signal, socket, sys, time
NAMES = "- ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING".split()
def state(end): return NAMES[end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]]
def settle(end, want):
    while state(end) != want: time.sleep(0.01)
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
def join():
    own = socket.socket(); own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100000)
    own.connect(listener.getsockname())
    return own, listener.accept()[0]
sent = {}
def fill(end, name):
    end.setblocking(False)
    piece, count, sent[name] = name.encode() * 999, 0, hashlib.sha256()
    try:
        while True:
            done = end.send(piece)
            sent[name].update(piece[:done])
    except BlockingIOError: end.setblocking(True)
ends = { name: join() for name in ["FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK", "CLOSE_WAIT"] }
for name, (own, other) in ends.items():
    if name in ("LAST_ACK", "CLOSE_WAIT"):
        other.send(b"before"); other.shutdown(socket.SHUT_WR); settle(own, "CLOSE_WAIT")
    if name in ("FIN_WAIT1", "CLOSING", "LAST_ACK"): fill(own, name)
    if name != "CLOSE_WAIT": own.shutdown(socket.SHUT_WR)
    if name == "CLOSING": other.shutdown(socket.SHUT_WR)
    settle(own, name)
def read_all(end):
    hash = hashlib.sha256()
    while bytes := end.recv(65536): hash.update(bytes)
    return hash.digest()
def tell_others():
    for name, (_, other) in ends.items():
        if name in sent: print("whole", name, read_all(other) == sent[name].digest(), flush=True)
        elif name == "FIN_WAIT2": print("end", name, other.recv(9), flush=True)
    for name in ("FIN_WAIT1", "FIN_WAIT2"):
        ends[name][1].send(b"behind"); ends[name][1].shutdown(socket.SHUT_WR)
def tell_own():
    for name, (own, _) in ends.items():
        came = b""
        while bytes := own.recv(99): came += bytes
        print("comes", name, came.decode(), flush=True)
signals = [signal.SIGUSR1, signal.SIGUSR2]
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
alone = len(sys.argv) < 2
inside = alone or os.fork() == 0
if inside and not alone: os.setsid()
if inside: print("pid=%d\\nready" % os.getpid(), flush=True)
if not alone:
    for own, other in ends.values(): (other if inside else own).close()
    listener.close()
while True:
    if signal.sigwait(signals) == signal.SIGUSR1:
        print("states", *(state(own) for own, _ in ends.values()), flush=True)
        continue
    if alone or not inside: tell_others()
    if inside: tell_own()
    break
`;

const SEEN = `whole FIN_WAIT1 True
end FIN_WAIT2 b''
whole CLOSING True
whole LAST_ACK True
comes FIN_WAIT1 behind
comes FIN_WAIT2 behind
comes CLOSING${" "}
comes LAST_ACK before
comes CLOSE_WAIT before`;

for (const outside of [false, true]) {
  const where = outside ? "one end outside" : "both ends in the tree";
  Deno.test(`connections in every state of closing come to their ends after a restore: ${where}`, async () => {
    using images = new ImageHome();
    const args = ["-c", PROGRAM, ...outside ? ["outside"] : []];
    await using subject = await Subject.spawn("/usr/bin/python3", { args });
    await subject.waitReady();
    const pid = Number(subject.fact("pid"));
    const options = { ...UNHURRIED, tcpEstablished: outside };
    const { directory } = images;
    await checkpoint(pid, { directory: `${directory}-1`, options, leaveRunning: true });
    await checkpoint(pid, { directory, options });
    const tree = await restore(directory);
    const told = (kind: RegExp) => subject.output().split("\n").filter((line) => kind.test(line));
    // An end that was acknowledged is sent once more. Which of two within the tree came first is not kept.
    const states = ["FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK", "CLOSE_WAIT"];
    const kept = outside ? states : states.with(3, "(LAST_ACK|CLOSING)");
    const wanted = new RegExp(`^states ${kept.join(" ")}$`);
    await waitUntil(
      () => {
        tree.kill(10);
        return told(wanted).length > 0;
      },
      () => `${wanted}: ${subject.output()}${subject.errors()}`,
    );
    if (outside) Deno.kill(subject.pid, "SIGUSR2");
    tree.kill(12);
    const seen = () => told(/^(whole|end|comes)/).sort();
    const all = SEEN.split("\n").sort();
    await waitUntil(
      () => seen().length === all.length,
      () => `what comes: ${subject.output()}${subject.errors()}`,
      120_000,
    );
    assert.deepEqual(seen(), all);
    await tree.wait();
  });
}
