/**
 * Real programs that hold what others must respect, checkpointed in the middle of their work: locks and leases, watches,
 * System V objects, a repository, a database. Each comes to the right end after a restore, and after a checkpoint that
 * left it running.
 */
import assert from "@std/assert";
import { FILE_LOCKS } from "../../images/kinds/files.ts";
import { openImages } from "../../mod.ts";
import { locateProgram } from "../../scripts/setup/unpacked.ts";
import { processTree } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { withSmallDisk } from "../harness/small_disk.ts";
import type { Subject } from "../harness/subject.ts";
import {
  file,
  killAndRestore,
  leaveRunningAndRestore,
  type Program,
  range,
  script,
  withEnoughToDo,
} from "../programs/scenario.ts";
import { furnish } from "../programs/root_directory.ts";

/** Runs a command that must succeed. @returns what it wrote */
function run(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): string {
  const { success, stdout, stderr } = new Deno.Command(command, {
    ...options,
    args: [...args],
    stdin: "null",
  }).outputSync();
  const output = new TextDecoder().decode(stdout);
  assert.ok(success, `${command} ${args.join(" ")}: ${output}${new TextDecoder().decode(stderr)}`);
  return output;
}

function sizeOf(path: string): number {
  let size = 0;
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    try {
      size += isDirectory ? sizeOf(`${path}/${name}`) : Deno.statSync(`${path}/${name}`).size;
    } catch {
      // It went meanwhile.
    }
  }
  return size;
}

/** Lines of `watched.sh`, which tells of each step when inotifywait has. */
function inotifywait(work: number): Program {
  const steps = 60 * work;
  return {
    command: "bash",
    args: [script("watched.sh"), String(steps)],
    midway: (subject) => subject.output().includes("step 10 "),
    verify(subject) {
      assert.equal(subject.errors(), "");
      const lines = range(steps).map((i) => `step ${i} \n`);
      assert.equal(subject.output(), `${lines.join("")}done\n`);
      const seen = file(subject, "seen").trim().split("\n");
      for (const step of range(steps)) {
        assert.ok(seen.some((name) => name.startsWith(`${step}.`)), `step ${step} was not seen`);
      }
    },
  };
}

/** Installed, or unpacked by the tests' set-up. */
const ANACRON = locateProgram("anacron", ["/usr/sbin"], (path) => exists(path)).program;

/** It holds a lock on the time stamp of the job that it runs. */
function anacron(work: number): Program {
  const steps = 100 * work;
  return {
    command: "bash",
    args: ["-c", `exec ${ANACRON} -d -f -s -n -t "$PWD/table" -S "$PWD/spool"`],
    async prepare(cwd) {
      await Deno.mkdir(`${cwd}/spool`);
      const job = `bash ${script("daily.sh")} ${steps} ${cwd}/steps`;
      await Deno.writeTextFile(`${cwd}/table`, `1 0 job ${job}\n`);
    },
    midway: (subject) => stepsOf(subject) > 10,
    isCaught: (directory) => openImages(directory).has(FILE_LOCKS, null),
    verify(subject) {
      assert.equal(file(subject, "steps"), range(steps).map((i) => `step ${i} \n`).join(""));
      assert.match(subject.errors(), /Normal exit \(1 job run\)/);
      assert.match(file(subject, "spool/job"), /^\d{8}\n$/);
    },
  };
}

/** It holds a lock while what it has started runs, which inherits that. */
function flock(work: number): Program {
  const steps = 100 * work;
  return {
    command: "flock",
    args: ["--nonblock", "lock", "bash", script("daily.sh"), String(steps), "steps"],
    midway: (subject) => stepsOf(subject) > 10,
    isCaught: (directory) => openImages(directory).has(FILE_LOCKS, null),
    verify(subject) {
      assert.equal(file(subject, "steps"), range(steps).map((i) => `step ${i} \n`).join(""));
      assert.equal(subject.errors(), "");
    },
  };
}

function stepsOf(subject: Subject): number {
  try {
    return file(subject, "steps").split("\n").length - 1;
  } catch {
    return 0;
  }
}

/** A backup whose repository passes its check, and gives back what was put into it. */
function restic(work: number): Program {
  const files = 60 * work;
  const env = { RESTIC_PASSWORD: "secret", HOME: "/nowhere" };
  const common = ["-r", "repository", "--no-cache", "--quiet"];
  return {
    command: "restic",
    args: [...common, "--limit-upload", "8192", "backup", "tree"],
    env,
    // It writes packs to temporary files without names first.
    options: { ghostLimit: 64n << 20n },
    async prepare(cwd) {
      await Deno.mkdir(`${cwd}/tree`);
      const bytes = new Uint8Array(256 << 10);
      for (const index of range(files)) {
        for (let at = 0; at < bytes.length; at += 65536) {
          crypto.getRandomValues(bytes.subarray(at, at + 65536));
        }
        await Deno.writeFile(`${cwd}/tree/${index}`, bytes);
      }
      run("restic", [...common, "init"], { cwd, env });
    },
    midway: (subject) => sizeOf(`${subject.cwd}/repository/data`) > 2 << 20,
    verify({ cwd }) {
      run("restic", [...common, "check", "--read-data"], { cwd, env });
      run("restic", [...common, "restore", "latest", "--target", "out"], { cwd, env });
      run("diff", ["-r", "tree", "out/tree"], { cwd });
      Deno.removeSync(`${cwd}/out`, { recursive: true });
    },
  };
}

/** Where Debian has PostgreSQL, by versions. */
const POSTGRES = "/usr/lib/postgresql";

/** The programs of the newest. */
function postgresPrograms(): string {
  const versions = [...Deno.readDirSync(POSTGRES)].map(({ name }) => name);
  return `${POSTGRES}/${versions.sort((a, b) => Number(a) - Number(b)).at(-1)}/bin`;
}

/** PostgreSQL refuses to be root: a user who may read and write what is root's. */
const AS_NOBODY = [
  "--reuid=65534",
  "--regid=65534",
  "--clear-groups",
  "--inh-caps=+dac_override",
  "--ambient-caps=+dac_override",
];

/** PostgreSQL in single-user mode, in the middle of a transaction. */
function postgres(work: number): Program {
  const statements = 150 * work;
  const rows = 2000;
  const programs = postgresPrograms();
  const insert = (index: number) =>
    `INSERT INTO t SELECT ${index}, i * 7919 % ${rows} FROM generate_series(1, ${rows}) i;\n`;
  return {
    command: "bash",
    args: [
      "-c",
      `exec setpriv ${
        AS_NOBODY.join(" ")
      } ${programs}/postgres --single -F -D data postgres <input`,
    ],
    async prepare(cwd) {
      run("mkdir", ["-m", "700", "data"], { cwd });
      run("chown", ["65534:65534", "data"], { cwd });
      const init = ["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"];
      const small = ["--no-locale", "--no-sync", "--wal-segsize=1"];
      run("setpriv", [...AS_NOBODY, `${programs}/initdb`, ...init, ...small], { cwd });
      // Otherwise it has files elsewhere, in /dev/shm, which it takes away when it ends.
      const settings = "dynamic_shared_memory_type = mmap\n";
      await Deno.writeTextFile(`${cwd}/data/postgresql.conf`, settings, { append: true });
      await Deno.writeTextFile(
        `${cwd}/input`,
        [
          "CREATE TABLE t(step int, value int);\n",
          "CREATE INDEX i ON t(value);\n",
          "BEGIN;\n",
          ...range(statements).map(insert),
          "COMMIT;\n",
          "SELECT count(*), sum(value), count(DISTINCT step) FROM t;\n",
        ].join(""),
      );
    },
    midway: (subject) => sizeOf(`${subject.cwd}/data/base`) > 30 << 20,
    verify(subject) {
      const told = subject.output();
      const sum = statements * rows * (rows - 1) / 2;
      for (const [name, value] of [["count", statements * rows], ["sum", sum]]) {
        assert.match(told, new RegExp(`${name} = "${value}"`), told.slice(-1000));
      }
      assert.doesNotMatch(subject.errors(), /ERROR|PANIC|FATAL/);
    },
  };
}

/** Stressors that check what they do themselves, all at once. */
const STRESSORS = [
  "sem-sysv",
  "shm-sysv",
  "msg",
  "flock",
  "lockf",
  "lease",
  "inotify",
  "pidfd",
  "hdd",
];

function stressors(work: number): Program {
  const seconds = 4 * work;
  return {
    command: "stress-ng",
    args: [
      ...STRESSORS.flatMap((name) => [`--${name}`, "1"]),
      ...["--hdd-bytes", "4M", "--shm-sysv-bytes", "1M"],
      ...["-t", String(seconds), "--verify"],
    ],
    options: { ghostLimit: 64n << 20n },
    midway: (subject) => processTree(subject.pid).length > STRESSORS.length,
    verify(subject) {
      const told = subject.output() + subject.errors();
      assert.match(told, /successful run completed/);
      assert.doesNotMatch(told, /fail|error/i);
    },
  };
}

/**
 * POSIX message queues, of which a thread is told. Its waits end at points in time, which stay what they are: after a
 * restore that takes longer it may say so.
 */
function queues(work: number): Program {
  const late = /^.*mq_timed\w+ failed, errno=110 .*$/gm;
  return {
    command: "stress-ng",
    args: ["--mq", "1", "-t", String(3 * work), "--verify"],
    midway: (subject) => processTree(subject.pid).length > 2,
    verify(subject) {
      const all = (subject.output() + subject.errors()).replace(late, "");
      assert.match(all, /successful run completed/);
      assert.doesNotMatch(all, /fail|error/i);
    },
  };
}

/** It has a directory watched over and over, each time for something else. */
function dnotify(work: number): Program {
  return {
    command: "stress-ng",
    args: ["--dnotify", "1", "-t", String(3 * work), "--verify"],
    midway: (subject) => processTree(subject.pid).length > 1,
    verify(subject) {
      const all = subject.output() + subject.errors();
      assert.match(all, /successful run completed/);
      assert.doesNotMatch(all, /fail|error/i);
    },
  };
}

/** Where stress-ng is in a root directory of its own. */
const STRESS_NG = "/usr/bin/stress-ng";

/** By how many descriptors of a tree a file system is marked. */
function markedFileSystems({ pid }: Subject): number {
  let count = 0;
  for (const task of processTree(pid)) {
    try {
      for (const { name } of Deno.readDirSync(`/proc/${task}/fdinfo`)) {
        const told = Deno.readTextFileSync(`/proc/${task}/fdinfo/${name}`);
        if (/^fanotify sdev:/m.test(told)) count++;
      }
    } catch {
      // It ends, or closes one.
    }
  }
  return count;
}

/**
 * It has the root's mount and file system marked, for want of a list of mounts, and each event there counted: of what is
 * not its own it would hold files that are gone by the restore.
 */
function fanotify(root: string, work: number): Program {
  const seconds = String(3 * work);
  return {
    command: "chroot",
    args: [root, STRESS_NG, "--fanotify", "1", "-t", seconds, "--verify", "--temp-path", "/tmp"],
    writesTo: [`${root}/tmp`],
    options: { ghostLimit: 64n << 20n },
    midway: (subject) => markedFileSystems(subject) === 2,
    verify(subject) {
      const all = subject.output() + subject.errors();
      assert.match(all, /successful run completed/);
      assert.match(all, /fanotify: [1-9]\d* open, [1-9]\d* close write/);
      assert.doesNotMatch(all.replace(/^.*no CPUs found.*$/m, ""), /fail|error/i);
    },
  };
}

/** A program, and what is there only where it is installed, or could be unpacked. */
interface Trial {
  readonly make: (work: number) => Program;
  readonly needs?: string;
}

const PROGRAMS: Readonly<Record<string, Trial>> = {
  "inotifywait": { make: inotifywait },
  "flock with a job": { make: flock },
  "anacron with a job": { make: anacron, needs: ANACRON },
  "restic in a backup": { make: restic },
  "PostgreSQL in a transaction": { make: postgres, needs: POSTGRES },
  "stress-ng with locks, watches and System V objects": { make: stressors },
  "stress-ng with dnotify": { make: dnotify },
  "stress-ng with message queues": { make: queues },
};

/** What is done to each. */
const SCENARIOS: Readonly<Record<string, (program: Program) => Promise<void>>> = {
  "after checkpoint and restore": (program) => killAndRestore(program, 2),
  "when it is left running, and from its images": leaveRunningAndRestore,
};

for (const [how, scenario] of Object.entries(SCENARIOS)) {
  for (const [name, { make, needs }] of Object.entries(PROGRAMS)) {
    Deno.test(`${name} comes to the right end ${how}`, async (t) => {
      if (needs !== undefined && !exists(needs)) return skip(t, `${needs} is not installed`);
      await withEnoughToDo(make, scenario);
    });
  }

  Deno.test(`stress-ng with fanotify comes to the right end ${how}`, async (t) => {
    const room = Deno.makeTempDirSync({ prefix: "stasis-root-" });
    using _room = { [Symbol.dispose]: () => Deno.removeSync(room, { recursive: true }) };
    await withSmallDisk(room, t, async ({ path, limit }) => {
      limit("size=256m");
      furnish(path, [STRESS_NG]);
      Deno.mkdirSync(`${path}/tmp`);
      await withEnoughToDo((work) => fanotify(path, work), scenario);
    });
  });
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
