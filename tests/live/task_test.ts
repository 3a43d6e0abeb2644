import { existsSync } from "node:fs";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { skip } from "../harness/skip.ts";
import { waitUntil } from "../harness/processes.ts";
import { equal, match } from "@std/assert";
import { checkpoint, restore } from "../../mod.ts";
import { readLimits, readStatus } from "../../core/linux/procfs/mod.ts";
import { variantName, VARIANTS } from "../harness/variants.ts";
import { bringsBack, ImageHome, leavesAlone, problemsOf, startSleeper } from "./round_trip.ts";

for (const name of ["task_attrs", "task_chroot", "task_settings"]) {
  for (const args of VARIANTS[name] ?? []) {
    const title = variantName(name, args);
    Deno.test(`${title}: it is what it was after a restore`, (t) => bringsBack(t, name, { args }));
    Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
      leavesAlone(t, name, { args }));
  }
}

const proc = (file: string) => (pid: number) => Deno.readTextFileSync(`/proc/${pid}/${file}`);

async function told(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await new Deno.Command(command, { args: [...args], stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}

/**
 * Attributes, how a shell sets them before it becomes `sleep`, how they are seen, and whether CRIU has an image for
 * them; and the file that a kernel has which has the attribute.
 */
const ATTRIBUTES: readonly {
  name: string;
  needs?: string;
  setUp: string;
  look: (pid: number) => unknown;
  own: boolean;
}[] = [
  {
    name: "affinity",
    setUp: "taskset -pc 0 $$",
    look: (pid) => String(readStatus(pid).cpusAllowed),
    own: true,
  },
  {
    name: "core dump filter",
    setUp: "echo 0x7f >/proc/$$/coredump_filter",
    look: proc("coredump_filter"),
    own: true,
  },
  {
    name: "timer slack",
    setUp: "echo 123456 >/proc/$$/timerslack_ns",
    look: proc("timerslack_ns"),
    own: true,
  },
  {
    name: "I/O priority",
    setUp: "ionice -c 3 -p $$",
    look: (pid) => told("ionice", ["-p", String(pid)]),
    own: true,
  },
  {
    name: "deadlines",
    setUp:
      "chrt -d --sched-runtime 1000000 --sched-deadline 5000000 --sched-period 10000000 -p 0 $$",
    look: (pid) => told("chrt", ["-p", String(pid)]),
    own: true,
  },
  {
    name: "real-time priority",
    setUp: "chrt -r -p 10 $$",
    look: (pid) => told("chrt", ["-p", String(pid)]),
    own: false,
  },
  {
    name: "OOM score",
    setUp: "echo 500 >/proc/$$/oom_score_adj",
    look: proc("oom_score_adj"),
    own: false,
  },
  {
    name: "login uid",
    needs: "/proc/self/loginuid",
    setUp: "echo 1234 >/proc/$$/loginuid",
    look: proc("loginuid"),
    own: false,
  },
  {
    name: "nice value of a session (autogroup)",
    needs: "/proc/self/autogroup",
    setUp: "echo -5 >/proc/$$/autogroup",
    look: (pid) => / nice (.*)/.exec(proc("autogroup")(pid))?.[1],
    own: true,
  },
  {
    name: "limits, directory and umask",
    setUp: "ulimit -n 100; ulimit -c 5; ulimit -t 1000; cd /tmp; umask 077",
    look: (pid) => {
      const limits = readLimits(pid).map(({ soft, hard }) => `${soft}/${hard}`);
      return [...limits, Deno.readLinkSync(`/proc/${pid}/cwd`), readStatus(pid).umask].join();
    },
    own: false,
  },
];

for (const { name, needs, setUp, look, own } of ATTRIBUTES) {
  Deno.test(`${name}: a program has it after a restore`, async (t) => {
    if (needs !== undefined && !existsSync(needs)) return skip(t, `this kernel has no ${needs}`);
    using images = new ImageHome();
    await using plain = await startSleeper("true");
    await using subject = await startSleeper(setUp);
    const before = await look(subject.pid);
    // Otherwise the set-up did nothing, and nothing is tested.
    equal(before === await look(plain.pid), false, `every process has ${before}`);
    await checkpoint(subject.pid, images);
    const names = [...Deno.readDirSync(images.directory)].map((file) => file.name);
    equal(names.includes("task.img"), own);
    const tree = await restore(images.directory);
    try {
      equal(await look(subject.pid), before);
    } finally {
      tree.kill(9);
      await tree.wait();
    }
  });
}

/** Waits until the program has been loaded and sleeps: it has its name before. */
async function sleeps(pid: number): Promise<void> {
  const isThere = () => proc("syscall")(pid).startsWith(`${SYSCALLS.clock_nanosleep} `);
  await waitUntil(isThere, () => `task ${pid} to sleep`);
}

const REFUSED: readonly [name: string, setUp: string, what: RegExp][] = [
  [
    "another namespace",
    "exec unshare -u sleep 1000",
    /^it is in another namespace than this tool: host name$/,
  ],
  [
    "other namespaces",
    "exec unshare -i -n sleep 1000",
    /^it is in other namespaces than this tool: IPC, network$/,
  ],
  [
    "a mount namespace with files that only it has",
    "exec unshare -m sh -c 'mount -t tmpfs none /mnt; cd /mnt; exec 7>file 8>other; exec sleep 1000'",
    /^it is in another namespace than this tool: mount$/,
  ],
];

for (const [name, setUp, what] of REFUSED) {
  Deno.test(`${name}: the program is refused, and does not notice`, async () => {
    await using subject = await startSleeper(setUp);
    await sleeps(subject.pid);
    const found = await problemsOf(subject.pid);
    equal(found.length, 1, "what follows from it is not told");
    match(found[0]?.what ?? "", what);
    match(
      found[0]?.hint ?? "",
      new RegExp(`nsenter --target ${subject.pid} .* stasis checkpoint `),
    );
  });
}
