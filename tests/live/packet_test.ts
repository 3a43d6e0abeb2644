/**
 * Packet sockets: they come back with their interfaces, options, filters and memberships; what waits in them is left out,
 * which is told.
 */
import assert from "@std/assert";
import { bringsBack, ImageHome, leavesAlone, notesOfSaving, startSleeper } from "./round_trip.ts";

Deno.test("packet: it is what it was after a restore", (t) => bringsBack(t, "packet"));
Deno.test("packet: a checkpoint that lets it run changes nothing", (t) => leavesAlone(t, "packet"));

Deno.test("packets that wait in a packet socket are left out, and that is told", async () => {
  // What it sends through the loopback interface it hears itself.
  const perl = `$^F = 9; socket(my $s, 17, 2, unpack("S", pack("n", 0x88b5))) or die;
    send($s, "x" x 60, 0, pack("SnLSCCx8", 17, 0x88b5, 1, 0, 0, 6)) or die; exec "sleep", 1000`;
  await using subject = await startSleeper(`exec perl -e '${perl}'`);
  using images = new ImageHome();
  const notes = await notesOfSaving(subject.pid, images.directory);
  assert.match(
    notes.join("\n"),
    /packets that wait in the packet socket socket:\[\d+\] are left out/,
  );
});
