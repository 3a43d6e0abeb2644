/**
 * The tool is killed while it looks at what waits in sockets: where looks begin (SO_PEEK_OFF), which it sets meanwhile, is
 * as it was, whoever puts it back.
 */
import assert from "@std/assert";
import { parseControl, receivedDescriptors } from "../../core/linux/net/control_message.ts";
import { openPidfd, OwnedDescriptor, takeDescriptor } from "../../core/linux/pidfd.ts";
import { peekMessage } from "../../core/linux/net/socket_ffi.ts";
import { readNumber, SO } from "../../core/linux/net/socket_options.ts";
import { actAtMoment } from "../harness/kill_at_call.ts";
import { ImageHome, startSleeper } from "./round_trip.ts";

/**
 * A UDP socket, and one of a pair of unix sockets, each with three datagrams in it; and one more like the latter, which
 * lies in the queue of that and is nobody's otherwise.
 */
const PROGRAM = `
import os, socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind((str(), 0))
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
c, d = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
socket.send_fds(a, [bytes(4)], [d.fileno()])
d.close()
for size in range(3):
    u.sendto(bytes(size), u.getsockname())
    a.send(bytes(size))
    c.send(bytes(size))
for one in (u, a, b, c): one.set_inheritable(True)
os.execvp("sleep", ["sleep", "1000"])`;

/** SO_PEEK_OFF of all sockets of a process, and of what lies in their queues in front. */
function peekOffsets(pid: number): (number | undefined)[] {
  using pidfd = openPidfd(pid);
  return [...Deno.readDirSync(`/proc/${pid}/fd`)]
    .filter(({ name }) => Deno.readLinkSync(`/proc/${pid}/fd/${name}`).startsWith("socket:"))
    .flatMap(({ name }) => {
      using taken = takeDescriptor(pidfd, pid, Number(name));
      const inFlight = receivedDescriptors(parseControl(peekMessage(taken.fd, 9).control))
        .map((fd) => {
          using received = new OwnedDescriptor(fd);
          return readNumber(received.fd, SO.PEEK_OFF);
        });
      return [readNumber(taken.fd, SO.PEEK_OFF), ...inFlight];
    });
}

/** How many moments the tool is killed at. */
const KILLS = 4;

Deno.test("SO_PEEK_OFF is what it was wherever the tool is killed", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper(`exec python3 -c '${PROGRAM}'`);
  const save = (directory: string): string[] => {
    const where = ["-D", directory, "--leave-running", "--timeout", "120"];
    return ["checkpoint", String(subject.pid), ...where];
  };
  const isSetting = (call: string) => call === "setsockopt";
  const first = await actAtMoment(save(images.directory), Infinity);
  assert.equal(first.status.code, 0, first.stderr);
  // Whoever looks again does not find the empty messages, and ends sooner.
  let all = 0;
  await actAtMoment(save(`${images.directory}-again`), Infinity, () => {}, (call) => {
    if (isSetting(call)) all++;
  });
  assert.ok(all > 2 * KILLS, `${all} moments of setsockopt`);
  let killedBetween = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    // Behind the call: the exit of each is the second moment of it.
    const moment = 1 + Math.floor((all - 2) * kill / (KILLS - 1));
    let seen = 0;
    const run = await actAtMoment(
      save(`${images.directory}-${kill}`),
      (call) => isSetting(call) && seen++ === moment,
    );
    if (run.call !== undefined) killedBetween++;
    const found = peekOffsets(subject.pid);
    assert.deepEqual(found, [-1, -1, -1, -1, -1], `killed at ${run.call}, moment ${moment}`);
  }
  assert.equal(killedBetween, KILLS);
});
