/**
 * Netlink sockets: they come back with their addresses, groups and options; and what only the kernel could put back is
 * refused with the reason.
 */
import assert from "@std/assert";
import { definePlugin } from "../../mod.ts";
import { auditDaemon } from "../../plugins/netlink/audit.ts";
import { checkpoint, restore } from "../harness/operations.ts";
import { waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { Subject } from "../harness/subject.ts";
import { bringsBack, ImageHome, leavesAlone, problemsOf, startSleeper } from "./round_trip.ts";

Deno.test("netlink: it is what it was after a restore", (t) => bringsBack(t, "netlink"));
Deno.test("netlink: a checkpoint that lets it run changes nothing", (t) =>
  leavesAlone(t, "netlink"));

/** Programs with a netlink socket, and why they are refused. */
const REFUSED: readonly (readonly [what: string, perl: string, why: RegExp])[] = [
  [
    "messages that wait",
    // RTM_GETLINK, with NLM_F_REQUEST | NLM_F_DUMP.
    `socket(my $s, 16, 3, 0); send($s, pack("LSSLLCxSlLL", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0), 0) or die`,
    /is a netlink socket that has messages waiting/,
  ],
  [
    "a protocol that keeps more",
    // Not every kernel has the connector.
    `socket(my $s, 16, 3, 11) or socket($s, 16, 3, 12) or die`,
    /is a netlink socket that is of NETLINK_(CONNECTOR|NETFILTER)/,
  ],
];

for (const [what, perl, why] of REFUSED) {
  Deno.test(`${what} of a netlink socket are refused`, async () => {
    await using subject = await startSleeper(`exec perl -e '$^F = 9; ${perl}; exec "sleep", 1000'`);
    const problems = await problemsOf(subject.pid);
    assert.equal(problems.length, 1);
    assert.match(problems[0]?.what ?? "", why);
  });
}

Deno.test("a message that a program receives when it goes on is waited for", async () => {
  // It asks for its interfaces, and hears the answer when it is told to.
  const program = `use Socket; socket(my $s, 16, 3, 0) or die; $| = 1;
    $SIG{USR1} = sub { 1 while defined recv($s, my $bytes, 65536, MSG_DONTWAIT); print "heard\n" };
    send($s, pack("LSSLLCxSlLL", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0), 0) or die;
    print "asked\n"; sleep 1 for 1 .. 1000`;
  await using subject = await Subject.spawn("perl", { args: ["-e", program] });
  await waitUntil(() => subject.output() === "asked\n", () => `it to ask: ${subject.errors()}`);
  using images = new ImageHome();
  let attempts = 0;
  const telling = definePlugin({
    name: "telling",
    description: "tells the program to go on, once it has been refused",
    checkpoint: () => ({
      async survey({ frozen }) {
        if (frozen || ++attempts !== 2) return;
        Deno.kill(subject.pid, "SIGUSR1");
        await waitUntil(() => subject.output().endsWith("heard\n"), "it to hear");
      },
    }),
  });
  await checkpoint(subject.pid, { directory: images.directory, plugins: [telling] });
  assert.equal(attempts, 2);
  await subject.waitGone();
  const tree = await restore(images.directory);
  tree.kill(15);
  await tree.wait();
});

Deno.test("a socket that does not get the audit log, as dbus-daemon's, comes back", async (t) => {
  if (auditDaemon() !== 0) {
    return skip(t, "somebody has the audit log, or the kernel does not tell this process who has");
  }
  // It asks who has the log (AUDIT_GET) in the end.
  const program = `socket(my $s, 16, 3, 9) or die; my $ends = 0; $SIG{TERM} = sub { $ends = 1 };
    $| = 1; print "ready"; sleep 1 while !$ends; send($s, pack("LSSLL", 16, 1000, 1, 5, 0), 0) or die;
    recv($s, my $answer, 999, 0); exit(length($answer) > 16 ? 0 : 3)`;
  await using subject = await Subject.spawn("perl", { args: ["-e", program] });
  await waitUntil(() => subject.output() === "ready", "it is ready");
  using images = new ImageHome();
  await checkpoint(subject.pid, { directory: images.directory });
  await subject.waitGone();
  const tree = await restore(images.directory);
  tree.kill(15);
  assert.deepEqual(await tree.wait(), { code: 0 });
});
