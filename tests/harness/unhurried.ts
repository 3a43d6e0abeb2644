/**
 * Options for checkpoints in tests that are not about how long a tree stands still: a loaded machine, or a virtual one
 * that interprets every instruction, must not decide.
 *
 * @module
 */
import type { OperationOptions } from "../../mod.ts";

/** Two minutes instead of ten seconds. */
export const UNHURRIED: OperationOptions = { timeout: 120_000 };
