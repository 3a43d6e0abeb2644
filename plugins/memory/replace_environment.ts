/**
 * Changes the environment of a process in the plan of its restore.
 *
 * @module
 */
import type { RestorePlan } from "../../core/restore/plan.ts";
import { MM } from "../../images/kinds/memory.ts";
import { readMemory } from "./saved_memory.ts";

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
