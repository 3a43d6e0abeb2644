/**
 * `stasis watch`.
 *
 * @module
 */
import { EXIT_STATUS, StasisError } from "../base/errors.ts";
import { readCheckpointOptions } from "./checkpoint_options.ts";
import { type Command, defineCommand } from "./command.ts";
import { SAVED_STATUS } from "./help.ts";
import { JOB_OPTIONS, readJobOptions, SAVING_OPTIONS, wordsOf } from "./job_options.ts";
import { JobReport } from "./job_report.ts";
import { parsePid } from "./options.ts";
import { REPORT_OPTIONS } from "./report.ts";

/** The command. */
export const watch: Command = defineCommand({
  name: "watch",
  summary: "save a process tree that runs already again and again",
  description:
    "Saves a process with all its descendants to a store every so often, and lets them run on, until they end. SIGUSR1 " +
    `saves them now. SIGTERM saves them a last time, and ends the watching with status ${SAVED_STATUS}; SIGINT ends it ` +
    "at once. stasis restore DIR brings the tree back as it was at the latest checkpoint. See docs/jobs.md.",
  argument: ["[pid]", "the root of the tree"],
  options: { ...JOB_OPTIONS, ...SAVING_OPTIONS, ...REPORT_OPTIONS },
  examples: [
    ["stasis watch 1234 -D /var/jobs/7", "save process 1234 every 10 minutes"],
    ["stasis restore /var/jobs/7 --rollback-files", "bring it back when it has died"],
  ],
  async run(argument, options, setStatus) {
    if (argument === undefined) {
      throw new StasisError("usage", "no process id was given", {
        hint: "stasis watch PID -D DIR",
      });
    }
    const pid = parsePid(argument);
    const job = await readJobOptions(options, "stasis watch PID -D DIR");
    const saving = readCheckpointOptions(options);
    const { watchTree } = await import("../jobs/watch.ts");
    (await import("../core/linux/signal_watch.ts")).keepDebuggerShut();
    using report = new JobReport(options);
    const outcome = await report.of(() =>
      watchTree({
        ...job,
        pid,
        options: saving,
        words: wordsOf(SAVING_OPTIONS, options),
        tell: report.tell,
        listener: report.listener,
      })
    );
    if (outcome === "saved") setStatus(SAVED_STATUS);
    if (outcome === "not-saved") setStatus(EXIT_STATUS.timeout);
    if (outcome === "left") setStatus(EXIT_STATUS.cancelled);
  },
});
