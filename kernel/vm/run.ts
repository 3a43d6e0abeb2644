// SPDX-License-Identifier: MIT
/**
 * Boots a kernel in QEMU, runs one command in it, and gives back what the command wrote and its exit
 * status. However it ends, nothing is left behind: no process, no temporary file.
 *
 * @module
 */

import { join } from "node:path";
import { StasisError } from "../../base/errors.ts";
import { lastLines, spawn } from "../command.ts";
import { REPOSITORY } from "../paths.ts";
import { chooseAccelerator } from "./accelerator.ts";
import { ensureImage } from "./image.ts";
import { parseStatus, runScript, settingsScript } from "./job.ts";
import { ensureModules } from "./modules.ts";
import { POWER_CUT, TIMED_OUT, type VmOptions, type VmResult } from "./options.ts";
import { qemuArguments, type Share } from "./qemu.ts";

/** How long QEMU has between SIGTERM and SIGKILL, in seconds. */
const GRACE = 5;

/**
 * Runs a command in the VM.
 *
 * @throws StasisError `internal` if the VM ended without a report (a panic, for example), with the last
 * lines of its console
 */
export async function runInVm(options: VmOptions): Promise<VmResult> {
  const accelerator = options.accelerator ?? await chooseAccelerator(options.kernel, runInVm);
  const [image, modules] = [await ensureImage(), await ensureModules()];
  await using job = await makeJob(options);
  const shares: Share[] = [
    { tag: "job", path: job.directory, writable: true },
    { tag: "repository", path: REPOSITORY, writable: false },
    { tag: "modules", path: modules, writable: false },
  ];
  if (options.share) {
    const path = await Deno.realPath(options.share);
    shares.push({ tag: "share", path, writable: true });
  }
  const consoleLog = join(job.directory, "console");
  const args = qemuArguments({
    accelerator,
    vmlinux: options.kernel.vmlinux,
    image,
    disk: options.disk,
    memory: options.memory ?? 1024,
    processors: options.processors ?? 2,
    consoleLog,
    shares,
  }, Deno.uid() === 0);

  const start = performance.now();
  const timeout = options.timeout ?? 300;
  const ended = await runQemu(args, timeout, options);
  const seconds = (performance.now() - start) / 1000;
  const status = parseStatus(await readIfThere(join(job.directory, "status")));
  if (status !== undefined) return { ...ended, status, seconds };
  if (ended.isCut) return { ...ended, status: POWER_CUT, seconds };
  if (ended.timedOut) return { ...ended, status: TIMED_OUT, seconds };
  const said = lastLines(ended.stderr + await readIfThere(consoleLog));
  throw new StasisError("internal", `the VM ended without a report; the last it said:\n${said}`);
}

/** The directory that is `/job` inside. */
async function makeJob(options: VmOptions) {
  const directory = await Deno.makeTempDir({ prefix: "stasis-vm-" });
  const env = {
    PATH: "/usr/sbin:/usr/bin",
    HOME: "/root",
    LANG: "C.UTF-8",
    DENO_DIR: "/var/deno",
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
    STASIS_VM: options.kernel.variant,
    ...options.env,
  };
  await Deno.writeTextFile(join(directory, "run.sh"), runScript(options.argv, REPOSITORY, env));
  await Deno.writeTextFile(
    join(directory, "settings.sh"),
    settingsScript(REPOSITORY, options.share !== undefined),
  );
  return {
    directory,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

async function runQemu(
  args: readonly string[],
  timeout: number,
  { output = "piped", power }: Pick<VmOptions, "output" | "power">,
) {
  // timeout(1) bounds QEMU's life even if we are killed and can do nothing any more.
  const bound = ["-k", `${GRACE}`, `${timeout + GRACE}`];
  const command = new Deno.Command("timeout", {
    args: [...bound, "qemu-system-x86_64", ...args],
    stdin: "null",
    // Never inherited: QEMU opens its outputs anew, and in a file that others write to as well it would
    // have a position of its own and write over what they wrote.
    stdout: "piped",
    stderr: "piped",
  });
  const child = spawn(command, "timeout");
  let timedOut = false;
  let isCut = false;
  let interrupted: string | undefined;
  const cut = () => {
    isCut = true;
    killGroup(child);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    kill(child);
  }, timeout * 1000);
  const signals: Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  const onSignal = signals.map((signal) => () => {
    interrupted = `stopped by ${signal}`;
    kill(child);
  });
  const passOn = async (from: ReadableStream<Uint8Array>, to: WritableStream<Uint8Array>) => {
    try {
      await from.pipeTo(to, { preventClose: true });
    } catch {
      interrupted ??= "stopped, for nobody reads its output any more";
      kill(child);
    }
  };
  signals.forEach((signal, index) => Deno.addSignalListener(signal, onSignal[index]!));
  power?.addEventListener("abort", cut);
  try {
    if (power?.aborted) cut();
    let [stdout, stderr] = ["", ""];
    if (output === "inherit") {
      await Promise.all([
        passOn(child.stdout, Deno.stdout.writable),
        passOn(child.stderr, Deno.stderr.writable),
      ]);
    } else {
      const ended = await child.output();
      const decoder = new TextDecoder();
      [stdout, stderr] = [decoder.decode(ended.stdout), decoder.decode(ended.stderr)];
    }
    await child.status;
    if (interrupted) throw new StasisError("cancelled", `the VM was ${interrupted}`);
    return { timedOut, isCut, stdout, stderr };
  } finally {
    clearTimeout(timer);
    power?.removeEventListener("abort", cut);
    signals.forEach((signal, index) => Deno.removeSignalListener(signal, onSignal[index]!));
  }
}

/** timeout(1) passes the signal on, and kills QEMU itself if that does not help. */
function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGTERM");
  } catch {
    // It has ended meanwhile.
  }
}

/** Ends QEMU with all that it was about to do: timeout(1) leads a group of its own, and QEMU is in it. */
function killGroup(child: Deno.ChildProcess): void {
  try {
    Deno.kill(-child.pid, "SIGKILL");
  } catch (error) {
    // It has ended meanwhile.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
