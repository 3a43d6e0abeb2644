/** Scripts and commands of the user around checkpoints and restores. */

import { deepEqual, equal, match } from "@std/assert";
import { stasis } from "../harness/stasis_command.ts";
import { becomesSleep, ImageHome, startSleeper } from "./round_trip.ts";

/** Writes a script that notes what it is told. @returns its path */
function writeScript(images: ImageHome): { readonly script: string; readonly log: string } {
  const home = images.directory.replace(/\/[^/]*$/, "");
  const [script, log] = [`${home}/script`, `${home}/log`];
  const words =
    '$CRTOOLS_SCRIPT_ACTION ${CRTOOLS_INIT_PID-none} $(test -e "$CRTOOLS_IMAGE_DIR/inventory.img" && echo whole)';
  Deno.writeTextFileSync(script, `#!/bin/sh\necho to stderr\necho ${words} >>${log}\n`, {
    mode: 0o755,
  });
  return { script, log };
}

Deno.test("--action-script is run at every stage, as by CRIU, and --before and --after around all", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper("");
  const { script, log } = writeScript(images);
  const around = ["--action-script", script, "--after", `echo after $STASIS_STATUS >>${log}`];
  const pid = String(subject.pid);
  const dump = ["checkpoint", pid, "-D", images.directory, "--json", ...around];

  const refused = await stasis([...dump, "--before", "exit 3"]);
  equal(refused.status, 10, refused.stderr);
  match(refused.stderr, /exit 3 ended with status 3 at pre-dump/);
  equal(Deno.readTextFileSync(log), `pre-dump ${pid}\nafter 10\n`);
  Deno.removeSync(log);

  const { status, stdout, stderr } = await stasis(dump);
  equal(status, 0, stderr);
  equal(JSON.parse(stdout).pid, subject.pid);
  match(stderr, /to stderr/);
  await subject.waitGone();
  const restored = await stasis(["restore", images.directory, "--detach", ...around]);
  equal(restored.status, 0, restored.stderr);
  await becomesSleep(subject.pid);
  deepEqual(Deno.readTextFileSync(log).trim().split("\n"), [
    `pre-dump ${pid}`,
    "after 0",
    `post-dump ${pid} whole`,
    "pre-restore none whole",
    `post-restore ${pid} whole`,
    `pre-resume ${pid} whole`,
    "after 0",
    `post-resume ${pid} whole`,
  ]);
});
