/** The examples of docs/jobs.md do what it says: interrupted, and started again by the same command line, each writes what it writes undisturbed. */

import { deepEqual, ok } from "@std/assert";
import { skip } from "../harness/skip.ts";
import { JobRoom, runInterrupted } from "../jobs/interrupted.ts";

const GUIDE = Deno.readTextFileSync(new URL("../../docs/jobs.md", import.meta.url));

interface Example {
  /** How its text is marked. */
  readonly language: string;
  /** The file that it goes to. */
  readonly file: string;
  /** What is run once, before. */
  readonly prepare: readonly string[];
  /** The job: shorter than in the guide. */
  readonly command: readonly string[];
  /** What it appends to. */
  readonly log: string;
  /** All that it writes. */
  readonly results: readonly string[];
  readonly signal: "SIGKILL" | "SIGTERM";
}

/** The system's own, which has the numpy of the set-up; another one may stand before it on the PATH. */
const PYTHON = "/usr/bin/python3";

const EXAMPLES: readonly Example[] = [
  {
    language: "python",
    file: "train.py",
    prepare: [PYTHON, "-c", "import numpy"],
    command: [PYTHON, "train.py"],
    log: "loss.log",
    results: ["loss.log", "weights.npy"],
    signal: "SIGTERM",
  },
  {
    language: "c",
    file: "heat.c",
    prepare: ["cc", "-O2", "heat.c", "-o", "heat"],
    command: ["./heat", "10000"],
    log: "heat.log",
    results: ["heat.log"],
    signal: "SIGKILL",
  },
  {
    language: "java",
    file: "Primes.java",
    prepare: ["javac", "Primes.java"],
    command: ["java", "-Xmx64m", "-XX:+PerfDisableSharedMem", "-cp", ".", "Primes", "100"],
    log: "primes.log",
    results: ["primes.log"],
    signal: "SIGKILL",
  },
];

/** What the guide has of a language. */
function textOf(language: string): string {
  const [, text] = GUIDE.match(new RegExp("```" + language + "\\n([^]*?)```")) ?? [];
  if (text === undefined) throw new Error(`docs/jobs.md has no example in ${language}`);
  return text;
}

async function runIn(path: string, [program = "", ...args]: readonly string[]): Promise<boolean> {
  const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
  try {
    return (await new Deno.Command(program, { args, cwd: path, ...streams }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

for (const { language, file, prepare, command, log, results, signal } of EXAMPLES) {
  Deno.test(`docs/jobs.md: the example in ${language}, interrupted, writes what it writes undisturbed`, async (t) => {
    using undisturbed = new JobRoom();
    using room = new JobRoom();
    for (const { path } of [undisturbed, room]) {
      Deno.writeTextFileSync(`${path}/${file}`, textOf(language));
      if (!await runIn(path, prepare)) return skip(t, `${prepare.join(" ")} fails here`);
    }
    ok(await runIn(undisturbed.path, command));
    const interruptions = await runInterrupted(room, {
      command,
      rounds: 2,
      signal,
      moment: () => 50 + Math.random() * 300,
      writes: signal === "SIGKILL" ? `${room.path}/${log}` : undefined,
    });
    for (const name of results) {
      const written = ({ path }: JobRoom) => Deno.readFileSync(`${path}/${name}`);
      deepEqual(written(room), written(undisturbed), `${name}:\n${room.log}`);
    }
    if (interruptions === 0) skip(t, "the job ended before it could be interrupted");
  });
}
