/**
 * How what happens to a job is told: on stderr, for stdout is the job's. Without `-v` only what the user did not expect.
 *
 * @module
 */
import type { StasisError } from "../base/errors.ts";
import type { StasisEvent } from "../base/events.ts";
import type { JobEvent } from "../jobs/events.ts";
import { errorJson } from "./error_text.ts";
import { Report, type ReportOptions } from "./report.ts";
import { formatBytes, formatMs } from "./ui/units.ts";

/** An event as people read it; undefined where it goes without saying. @param verbose whether nothing does */
export function jobEventText(event: JobEvent, verbose: boolean): string | undefined {
  switch (event.event) {
    case "started":
      return verbose ? `the job runs as process ${event.pid}` : undefined;
    case "taken-up": {
      const { checkpoint, pid, innerPid } = event;
      const inside = pid === innerPid ? "" : `, as ${innerPid} in a pid namespace of its own`;
      return `taken up from checkpoint ${checkpoint}: process ${pid}${inside}`;
    }
    case "saved": {
      const { checkpoint, bytes, frozenMs, totalMs, ended } = event;
      if (ended) return `saved as checkpoint ${checkpoint}: the same command line takes the job up`;
      return verbose
        ? `saved as checkpoint ${checkpoint}: ${formatBytes(bytes)} in ${formatMs(totalMs)}, ` +
          `stood still for ${formatMs(frozenMs)}`
        : undefined;
    }
    case "adopted":
      return `saved as checkpoint ${event.checkpoint} nevertheless`;
    case "not-saved":
      return `not saved, and runs on: ${withHint(event.error)}`;
    case "merging":
      return verbose ? `making checkpoint ${event.checkpoint} whole by itself` : undefined;
    case "pruned":
      return verbose ? `deleted checkpoints: ${event.checkpoints.join(", ")}` : undefined;
    case "failed":
      return withHint(event.error);
    case "note":
      return event.text;
    case "ended":
      return verbose ? `the job has ended${endingText(event)}` : undefined;
    case "not-taken-up":
      return `the job has ended with status ${event.code} at ${event.endedAt}, and is not taken up ` +
        "(--again does so)";
  }
}

function endingText(
  { code, signal }: { readonly code?: number; readonly signal?: number },
): string {
  if (signal !== undefined) return ` by signal ${signal}`;
  return code === undefined ? "" : ` with status ${code}`;
}

function withHint({ message, hint, problems }: StasisError): string {
  const what = problems.map((problem) => `; ${problem.what}`).join("");
  return `${message}${what}${hint === undefined ? "" : ` (${hint})`}`;
}

/** An event as a line of JSON, in which an error is what `--json` prints of one elsewhere. */
export function jobEventJson(event: JobEvent, at: string): string {
  const { event: name, ...rest } = event;
  const facts = "error" in rest ? errorJson(rest.error) : rest;
  return JSON.stringify({ at, event: name, ...facts });
}

/** Tells events. Disposing of it ends that. */
export class JobReport implements Disposable {
  readonly #json: boolean;
  readonly #verbose: boolean;
  /** For what the operations tell, if that is wanted. */
  readonly #report: Report | undefined;
  /** The notes that have been told: each save has the same ones. */
  readonly #notes = new Set<string>();

  constructor(options: ReportOptions & { readonly json?: boolean }) {
    const { json = false, verbose, logFile } = options;
    this.#json = json;
    this.#verbose = verbose !== undefined;
    if (logFile !== undefined || verbose !== undefined && !json) this.#report = new Report(options);
  }

  /** Takes an event of the job. */
  readonly tell = (event: JobEvent): void => {
    const text = this.#json
      ? jobEventJson(event, new Date().toISOString())
      : jobEventText(event, this.#verbose);
    if (text === undefined) return;
    try {
      console.error(this.#json ? text : `stasis: ${text}`);
    } catch {
      // Nobody reads it any more: that is no reason to leave the job.
    }
  };

  /** Takes an event of a checkpoint or restore. */
  readonly listener = (event: StasisEvent): void => {
    this.#report?.listener(event);
    if (event.kind !== "note" || this.#report !== undefined && !this.#json) return;
    if (this.#notes.has(event.text)) return;
    this.#notes.add(event.text);
    this.tell({ event: "note", text: event.text });
  };

  /** Does something, and tells by what it failed. */
  async of<T>(operation: () => Promise<T>): Promise<T> {
    return this.#report === undefined ? await operation() : await this.#report.of(operation);
  }

  [Symbol.dispose](): void {
    this.#report?.[Symbol.dispose]();
  }
}
