/**
 * `stasis check`.
 *
 * @module
 */
import type { Command } from "@commander-js/extra-typings";
import { EXIT_STATUS } from "../base/errors.ts";
import type { CheckReport } from "../mod.ts";
import { examplesHelp, STATUS_POINTER } from "./help.ts";
import { toJson } from "./json.ts";
import { collect, loadPlugins } from "./options.ts";
import type { SetStatus } from "./status.ts";
import { hasColour, paint } from "./ui/colour.ts";
import { table } from "./ui/table.ts";

/** Whether a machine can do what Stasis needs. */
export function isUsable(report: CheckReport): boolean {
  return report.features.every((feature) => feature.available || !feature.required);
}

/** A report for people. */
export function describeCheck(report: CheckReport, colour: boolean): string[] {
  const rows = report.features.map(({ name, plugin, available, required, note }) => {
    const mark = available
      ? paint("green", "yes", colour)
      : required
      ? paint("red", "MISSING", colour)
      : paint("yellow", "no", colour);
    return [mark, name, plugin, note];
  });
  return [
    `kernel ${report.kernel}`,
    `Syscall User Dispatch: back end ${paint("bold", report.sudBackend, colour)}`,
    "",
    ...table([
      ["", "feature", "plugin", "what for"].map((head) => paint("bold", head, colour)),
      ...rows,
    ]),
    "",
    isUsable(report)
      ? "Stasis can work here."
      : "Stasis cannot work here: what is marked MISSING is required.",
  ];
}

/** Adds the command. */
export function addCheck(program: Command, setStatus: SetStatus): void {
  program.command("check")
    .summary("tell what this kernel and this user can do")
    .description(
      "Tells feature by feature what this kernel and this user can do, and which back end Syscall User " +
        "Dispatch has here. Ends with status 6 if something is missing that Stasis cannot do without.",
    )
    .option("--plugin <file>", "a TypeScript module with a plugin; repeatable", collect)
    .option("--json", "print the report as JSON")
    .addHelpText("after", examplesHelp([["stasis check", "look at this machine"]]) + STATUS_POINTER)
    .action(async (options) => {
      const plugins = await loadPlugins(options.plugin ?? []);
      const { check } = await import("../mod.ts");
      const report = check({ plugins });
      const usable = isUsable(report);
      console.log(
        options.json
          ? toJson({ ...report, usable })
          : describeCheck(report, hasColour(Deno.stdout)).join("\n"),
      );
      if (!usable) setStatus(EXIT_STATUS["kernel-too-old"]);
    });
}
