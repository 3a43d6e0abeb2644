/** Who is whose child, leads what and shares what with whom comes back, or is refused in time. */
import { equal, match } from "@std/assert";
import { checkpoint } from "../../mod.ts";
import { stasis } from "../harness/stasis_command.ts";
import { becomesSleep, bringsBack, ImageHome, leavesAlone } from "./round_trip.ts";
import { Subject } from "../harness/subject.ts";

for (const name of ["tree_sessions", "tree_kin"]) {
  Deno.test(`${name}: it is what it was after a restore`, (t) => bringsBack(t, name));
  Deno.test(`${name}: a checkpoint that lets it run changes nothing`, (t) => leavesAlone(t, name));
}

Deno.test("a root that wants to die with its parent outlives a restore that ends at once, which says so", async () => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("setpriv", {
    args: ["--pdeathsig", "KILL", "sleep", "1000"],
  });
  await becomesSleep(subject.pid);
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  const { status, stderr } = await stasis(["restore", images.directory, "--detach"]);
  equal(status, 0, stderr);
  match(stderr, /thread \d+ wanted SIGKILL at the end of its parent: it is not set/);
  equal(subject.alive, true);
  await becomesSleep(subject.pid);
});
