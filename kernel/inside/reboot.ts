// SPDX-License-Identifier: MIT
/**
 * Runs in the VM, in two boots: `reboot.ts save NAME...` checkpoints subjects, and `reboot.ts restore` brings
 * them back in the next one. What has to outlive the boot lies in /share.
 *
 * @module
 */

import { checkpoint, restore } from "../../mod.ts";
import { waitUntil } from "../../tests/harness/processes.ts";
import { Subject } from "../../tests/harness/subject.ts";
import { UNHURRIED } from "../../tests/harness/unhurried.ts";

/** What the second boot has to know of one subject. */
interface Saved {
  readonly title: string;
  readonly pid: number;
  readonly stdout: string;
  readonly images: string;
}

const NOTES = "/share/saved.json";
/**
 * Pids of the subjects begin here. A boot uses up low ones, and no two boots the same, so a low pid may be
 * taken in the second.
 */
const FIRST_PID = 5000;

/** @param subjects a name with arguments each, separated by spaces */
async function save(subjects: readonly string[]): Promise<void> {
  // Where the subjects' files go.
  Deno.env.set("TMPDIR", "/share");
  Deno.writeTextFileSync("/proc/sys/kernel/ns_last_pid", `${FIRST_PID}`);
  const saved: Saved[] = [];
  for (const [index, title] of subjects.entries()) {
    const [name, ...args] = title.split(" ") as [string, ...string[]];
    const images = `/share/images-${index}`;
    const subject = name.startsWith("/")
      ? await Subject.run(name, { args })
      : await Subject.start(name, { args });
    await checkpoint(subject.pid, { directory: images, options: UNHURRIED });
    saved.push({ title, pid: subject.pid, stdout: subject.stdout, images });
  }
  Deno.writeTextFileSync(NOTES, JSON.stringify(saved));
}

async function bringBack(): Promise<void> {
  for (
    const { title, pid, stdout, images } of JSON.parse(Deno.readTextFileSync(NOTES)) as Saved[]
  ) {
    const tree = await restore(images);
    Deno.kill(pid, "SIGTERM");
    await waitUntil(
      () => /^verdict /m.test(Deno.readTextFileSync(stdout)),
      () => `the verdict of ${title}: ${Deno.readTextFileSync(stdout)}`,
      60_000,
    );
    const said = Deno.readTextFileSync(stdout);
    const verdict = /^verdict .*$/m.exec(said)![0];
    const { code } = await tree.wait();
    if (code !== 0) console.error(`${title}:\n${said}`);
    console.log(`${title}: ${verdict}, exit status ${code}`);
  }
}

if (import.meta.main) {
  const [action, ...subjects] = Deno.args;
  await (action === "save" ? save(subjects) : bringBack());
  // The subjects that were started here have ended; their handles would keep this process.
  Deno.exit();
}
