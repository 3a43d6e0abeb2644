/**
 * A scripted restore: the plan is made, changed, and only then run. Here a path leads elsewhere, an environment
 * value is replaced and a descriptor gets another file.
 *
 *     deno run -A examples/edit_plan.ts DIR [--path FROM=TO]... [--env NAME=VALUE]... [--fd N=FILE]... [--print]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { MM } from "../images/kinds/memory.ts";
import type { ImageDirectory } from "../images/mod.ts";
import { planRestore, restore, type RestorePlan, STAGES, StasisError } from "../mod.ts";
import { taskRuns } from "../plugins/memory/task_runs.ts";

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

/**
 * Replaces a value in the environment that the process was started with. What getenv(3) finds is that memory, as
 * long as the program has not set the variable itself.
 *
 * @throws {RangeError} where there is no such variable, or its place is too small for the value
 */
export function replaceEnvironment(
  plan: RestorePlan,
  pid: number,
  name: string,
  value: string,
): void {
  const { mmEnvStart, mmEnvEnd } = plan.images.read(MM, pid);
  const memory = readMemory(plan.images, pid, mmEnvStart, Number(mmEnvEnd - mmEnvStart));
  const text = new TextDecoder("latin1").decode(memory); // one character a byte
  const at = `\0${text}`.indexOf(`\0${name}=`);
  if (at < 0) throw new RangeError(`process ${pid} has no variable ${name}`);
  const begin = at + name.length + 1;
  const room = text.indexOf("\0", begin) - begin;
  const bytes = new TextEncoder().encode(value);
  if (bytes.length > room) {
    throw new RangeError(`${name} has room for ${room} bytes; "${value}" takes ${bytes.length}`);
  }
  const padded = new Uint8Array(room); // the rest is zeros
  padded.set(bytes);

  // The process writes into its own memory: process_vm_writev(2) from scratch memory, after the contents.
  const program = plan.task(pid).program("task");
  const from = program.data(new Uint8Array(16), `${name}=${value}`)
    .point(0, program.data(padded, value));
  new DataView(from.bytes.buffer).setBigUint64(8, BigInt(room), true);
  const to = program.data(
    new Uint8Array(new BigUint64Array([mmEnvStart + BigInt(begin), BigInt(room)]).buffer),
    `environment + ${begin}`,
  );
  program.expect(BigInt(room), "process_vm_writev", pid, from, 1, to, 1, 0);
}

/** Reads a process's memory from the images; pages that they do not have are zeros. */
export function readMemory(
  images: ImageDirectory,
  pid: number,
  address: bigint,
  length: number,
): Uint8Array {
  const bytes = new Uint8Array(length);
  const end = address + BigInt(length);
  for (const { start, size, pages, offset } of taskRuns(images, pid)) {
    const from = start > address ? start : address;
    const to = start + size < end ? start + size : end;
    if (from >= to) continue;
    using file = Deno.openSync(pages);
    file.seekSync(offset + from - start, Deno.SeekMode.Start);
    const part = bytes.subarray(Number(from - address), Number(to - address));
    for (let at = 0; at < part.length;) at += file.readSync(part.subarray(at)) ?? part.length;
  }
  return bytes;
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
