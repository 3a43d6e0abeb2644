/**
 * The tool is killed while it looks at what waits in sockets: where looks begin (SO_PEEK_OFF), which it sets meanwhile, is
 * as it was, whoever puts it back.
 */
import assert from "@std/assert";
import { openPidfd, takeDescriptor } from "../../core/linux/pidfd.ts";
import { readNumber, SO } from "../../core/linux/net/socket_options.ts";
import { actAtMoment } from "../harness/kill_at_call.ts";
import { ImageHome, startSleeper } from "./round_trip.ts";

/** A UDP socket, and one of a pair of unix sockets, each with three datagrams in it. */
const PROGRAM = `use Socket; $^F = 9;
  socket(my $u, PF_INET, SOCK_DGRAM, 0); bind($u, pack_sockaddr_in(0, INADDR_LOOPBACK));
  send($u, "udp$_", 0, getsockname($u)) for 1..3;
  socketpair(my $a, my $b, AF_UNIX, SOCK_DGRAM, 0); send($a, "unix$_", 0) for 1..3;
  exec "sleep", 1000`;

/** SO_PEEK_OFF of all sockets of a process. */
function peekOffsets(pid: number): (number | undefined)[] {
  using pidfd = openPidfd(pid);
  return [...Deno.readDirSync(`/proc/${pid}/fd`)]
    .filter(({ name }) => Deno.readLinkSync(`/proc/${pid}/fd/${name}`).startsWith("socket:"))
    .map(({ name }) => {
      using taken = takeDescriptor(pidfd, pid, Number(name));
      return readNumber(taken.fd, SO.PEEK_OFF);
    });
}

/** How many moments the tool is killed at. */
const KILLS = 4;

Deno.test("SO_PEEK_OFF is what it was wherever the tool is killed", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper(`exec perl -e '${PROGRAM}'`);
  const save = (directory: string): string[] => {
    const where = ["-D", directory, "--leave-running", "--timeout", "120"];
    return ["checkpoint", String(subject.pid), ...where];
  };
  const calls: string[] = [];
  const learned = await actAtMoment(save(images.directory), Infinity, () => {}, (call) => {
    calls.push(call);
  });
  assert.equal(learned.status.code, 0, learned.stderr);
  const [first, last] = [calls.indexOf("setsockopt"), calls.lastIndexOf("setsockopt")];
  assert.ok(first >= 0 && last > first, calls.join(" "));
  let killedBetween = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    // Behind the call: the exit of each is the second moment of it.
    const moment = first + 1 + Math.floor((last - first - 2) * kill / (KILLS - 1));
    const run = await actAtMoment(save(`${images.directory}-${kill}`), moment);
    if (run.call !== undefined) killedBetween++;
    const found = peekOffsets(subject.pid);
    assert.deepEqual(found, [-1, -1, -1], `killed at ${run.call}, moment ${moment}`);
  }
  assert.equal(killedBetween, KILLS);
});
