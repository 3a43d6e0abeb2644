import { equal, match } from "@std/assert";
import { checkpoint } from "../../mod.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { variantName, VARIANTS } from "../harness/variants.ts";
import { becomesSleep, bringsBack, ImageHome, leavesAlone } from "./round_trip.ts";

for (const name of ["creds_caps"]) {
  for (const args of VARIANTS[name] ?? []) {
    const title = variantName(name, args);
    Deno.test(`${title}: it is what it was after a restore`, (t) => bringsBack(t, name, { args }));
    Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
      leavesAlone(t, name, { args }));
  }
}

Deno.test("a bounding set that whoever restores has not is named, and the program comes back", async () => {
  using images = new ImageHome();
  const user = ["--reuid", "12345", "--clear-groups", "sleep", "1000"];
  await using subject = await Subject.spawn("setpriv", { args: user });
  await becomesSleep(subject.pid);
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  const through = ["setpriv", "--bounding-set=-sys_boot", "--inh-caps=-sys_boot"];
  const { status, stderr } = await stasis(["restore", images.directory, "--detach"], { through });
  equal(status, 0, stderr);
  match(
    stderr,
    /task \d+ could get capabilities that .* cannot give, and will not: CAP_SYS_BOOT$/m,
  );
  equal(subject.alive, true);
});
