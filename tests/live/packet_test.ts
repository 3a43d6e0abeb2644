/**
 * Packet sockets: they come back with their interfaces, options, filters and memberships; what waits in them is left out,
 * which is told; and those with rings are refused.
 */
import assert from "@std/assert";
import { checkpoint } from "../../mod.ts";
import {
  bringsBack,
  collectNotes,
  ImageHome,
  leavesAlone,
  problemsOf,
  startSleeper,
} from "./round_trip.ts";

Deno.test("packet: it is what it was after a restore", (t) => bringsBack(t, "packet"));
Deno.test("packet: a checkpoint that lets it run changes nothing", (t) => leavesAlone(t, "packet"));

Deno.test("a packet socket with a ring is refused", async () => {
  // PACKET_RX_RING: two blocks of a page, two frames in each.
  const perl = `$^F = 9; socket(my $s, 17, 3, 0) or die;
    setsockopt($s, 263, 5, pack("LLLL", 4096, 2, 2048, 4)) or die; exec "sleep", 1000`;
  await using subject = await startSleeper(`exec perl -e '${perl}'`);
  const problems = await problemsOf(subject.pid);
  assert.equal(problems.length, 1);
  assert.match(problems[0]?.what ?? "", /is a packet socket that has a ring of memory/);
});

Deno.test("packets that wait in a packet socket are left out, and that is told", async () => {
  // What it sends through the loopback interface it hears itself.
  const perl = `$^F = 9; socket(my $s, 17, 2, unpack("S", pack("n", 0x88b5))) or die;
    send($s, "x" x 60, 0, pack("SnLSCCx8", 17, 0x88b5, 1, 0, 0, 6)) or die; exec "sleep", 1000`;
  await using subject = await startSleeper(`exec perl -e '${perl}'`);
  using images = new ImageHome();
  const notes: string[] = [];
  await checkpoint(subject.pid, {
    directory: images.directory,
    leaveRunning: true,
    onEvent: collectNotes(notes),
  });
  assert.match(
    notes.join("\n"),
    /packets that wait in the packet socket socket:\[\d+\] are left out/,
  );
});
