// SPDX-License-Identifier: MIT
/**
 * What is told to the VM, and what it tells.
 *
 * @module
 */

import type { BuiltKernel } from "../build/kernel.ts";
import type { Accelerator } from "./qemu.ts";

/** What to run and in which machine. */
export interface VmOptions {
  readonly kernel: BuiltKernel;
  /** The command and its arguments. */
  readonly argv: readonly string[];
  /** Added to the environment inside. */
  readonly env?: Readonly<Record<string, string>>;
  /** A directory that is `/share` inside, writable, and so outlives the VM. */
  readonly share?: string;
  /** A file of a raw disk, which is /dev/vdb inside, writable, and so outlives the VM. */
  readonly disk?: string;
  /** Cuts the power: QEMU is killed, and the result is {@link POWER_CUT}. */
  readonly power?: AbortSignal;
  /** After so many seconds the VM is killed. 300 if absent. */
  readonly timeout?: number;
  /** In MiB. 1024 if absent. */
  readonly memory?: number;
  /** 2 if absent. */
  readonly processors?: number;
  /** `inherit` passes the command's output on as it comes; `piped` (the default) collects it as text. */
  readonly output?: "inherit" | "piped";
  /** Found out by a probe if absent. */
  readonly accelerator?: Accelerator;
}

/** How a command in the VM ended. */
export interface VmResult {
  /** The exit status as a shell has it: 128 + N after signal N, and {@link TIMED_OUT}. */
  readonly status: number;
  /** Empty with `output: "inherit"`. */
  readonly stdout: string;
  readonly stderr: string;
  /** From the start of QEMU to its end. */
  readonly seconds: number;
}

/** The status when the time is up, as that of `timeout`. */
export const TIMED_OUT = 124;

/** The status when the power was cut, as that of a program that SIGKILL has ended. */
export const POWER_CUT = 128 + 9;
