/**
 * A scripted restore: the plan is made, changed, and only then run. Here a path leads elsewhere, an environment
 * value is replaced and a descriptor gets another file.
 *
 *     deno run -A examples/edit_plan.ts DIR [--path FROM=TO]... [--env NAME=VALUE]... [--fd N=FILE]... [--print]
 *
 * @module
 */
import { parseArgs } from "node:util";
import {
  planRestore,
  replaceEnvironment,
  restore,
  type RestorePlan,
  STAGES,
  StasisError,
} from "stasis";

const AT_FDCWD = -100;
const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_APPEND = 0o2000;
const O_CLOEXEC = 0o2000000;

/**
 * Has every file below `from` looked for below `to`: strings among the arguments of planned calls are paths.
 *
 * @returns how many calls it changed
 */
export function remapPath(plan: RestorePlan, from: string, to: string): number {
  let changed = 0;
  for (const task of plan.tasks) {
    const births = plan.offspring(task.pid).map((child) => task.beforeBirth(child));
    for (const program of [...births, ...STAGES.map((stage) => task.program(stage))]) {
      for (const call of program.calls) {
        const args = call.args.map((argument) =>
          typeof argument === "string" && (argument === from || argument.startsWith(`${from}/`))
            ? to + argument.slice(from.length)
            : argument
        );
        if (args.some((argument, index) => argument !== call.args[index])) changed++;
        call.args = args;
      }
    }
  }
  return changed;
}

/**
 * Has a process write to another file through a descriptor: the last word of the connect stage, when all
 * descriptors have their numbers.
 */
export function replaceDescriptor(
  plan: RestorePlan,
  pid: number,
  fd: number,
  path: string,
): void {
  const program = plan.task(pid).program("connect");
  const flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  const file = program.call("openat", AT_FDCWD, path, flags, 0o600);
  program.call("dup3", file, fd, 0);
  program.call("close", file);
}

/** Splits `A=B`. */
function pair(text: string): [string, string] {
  const at = text.indexOf("=");
  if (at < 0) throw new RangeError(`"${text}" has no =`);
  return [text.slice(0, at), text.slice(at + 1)];
}

if (import.meta.main) {
  const list = { type: "string", multiple: true, default: [] as string[] } as const;
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { path: list, env: list, fd: list, print: { type: "boolean", default: false } },
  });
  try {
    const remap = Object.fromEntries(values.path.map(pair));
    // Files are looked at when the plan is made, so the plan has to know where they are now.
    const plan = await planRestore(positionals[0] ?? ".", { options: { remap } });
    for (const [name, value] of values.env.map(pair)) {
      replaceEnvironment(plan, plan.pid, name, value);
    }
    for (const [fd, path] of values.fd.map(pair)) {
      replaceDescriptor(plan, plan.pid, Number(fd), path);
    }
    if (values.print) {
      for (const line of plan.describe()) console.log(line);
    } else {
      const tree = await restore(plan);
      const { code, signal } = await tree.wait();
      Deno.exitCode = code ?? 128 + (signal ?? 0);
    }
  } catch (error) {
    if (!(error instanceof StasisError) && !(error instanceof RangeError)) throw error;
    console.error(error.message);
    Deno.exitCode = 1;
  }
}
