/**
 * `stasis run`.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import type { OperationOptions } from "../core/plugin.ts";
import { readCheckpointOptions } from "./checkpoint_options.ts";
import { type Command, defineCommand } from "./command.ts";
import { SAVED_STATUS } from "./help.ts";
import { JOB_OPTIONS, readJobOptions, SAVING_OPTIONS, wordsOf } from "./job_options.ts";
import { parseTimeNamespace, TIME_NAMESPACE_MODES } from "./options.ts";
import { statusOf } from "./restore.ts";
import { JobReport } from "./job_report.ts";
import { REPORT_OPTIONS } from "./report.ts";

/** The command. */
export const runJobCommand: Command = defineCommand({
  name: "run",
  summary: "run a command as a job that is saved again and again",
  description:
    "Starts a command and saves it to a store every so often; if the store holds a checkpoint of it already, it is taken " +
    "up from there instead. Stays in the foreground: hands on SIGHUP, SIGINT, SIGQUIT and SIGUSR2, and ends with the " +
    "job's status (128 + N if signal N killed it). SIGUSR1 saves it now. SIGTERM saves it a last time and ends it, with " +
    `status ${SAVED_STATUS}: the same command line takes it up again. A job that has come to its end is not taken up. ` +
    "See docs/jobs.md.",
  argument: ["[command]", "the command"],
  more: { name: "[args...]", description: "its arguments", passed: true },
  options: {
    ...JOB_OPTIONS,
    again: { flags: "--again", description: "take it up also where it has come to its end" },
    keepAppended: {
      flags: "--keep-appended",
      description: "leave what it appended to files after the checkpoint, which comes twice then",
    },
    ignoreFileChange: {
      flags: "--ignore-file-change",
      description: "take it up even if its files have changed otherwise",
    },
    timeNamespace: {
      flags: "--time-namespace <mode>",
      values: TIME_NAMESPACE_MODES,
      description: "as for stasis restore: auto (the default), always, never",
    },
    ...SAVING_OPTIONS,
    ...REPORT_OPTIONS,
  },
  examples: [
    ["stasis run -D /var/jobs/7 -- python3 train.py", "run it, save it every 10 minutes"],
    [
      "stasis run --every 1m --keep 3 -D ~/sim -- ./simulate --steps 1e9",
      "oftener, and keep three",
    ],
    ["kill -TERM PID_OF_STASIS", "save it and end it; the same command line takes it up"],
  ],
  async run(program, options, setStatus, args) {
    if (program === undefined) {
      throw new StasisError("usage", "no command was given", {
        hint: "stasis run -D DIR -- COMMAND",
      });
    }
    const job = await readJobOptions(options, "stasis run -D DIR -- COMMAND");
    const saving = readCheckpointOptions(options);
    const restoreOptions: OperationOptions = {
      tcpClose: options.tcpClose ?? false,
      ignoreFileChange: options.ignoreFileChange ?? false,
      rollbackFiles: !options.keepAppended,
      timeNamespace: parseTimeNamespace(options.timeNamespace ?? "auto"),
    };
    const { runJob } = await import("../jobs/run.ts");
    (await import("../core/linux/signal_watch.ts")).keepDebuggerShut();
    using report = new JobReport(options);
    const outcome = await report.of(() =>
      runJob({
        ...job,
        command: [program, ...args],
        again: options.again ?? false,
        options: saving,
        restoreOptions,
        words: wordsOf(SAVING_OPTIONS, options),
        tell: report.tell,
        listener: report.listener,
      })
    );
    setStatus(outcome.kind === "saved" ? SAVED_STATUS : statusOf(outcome.ending));
  },
});
