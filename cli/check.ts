/**
 * `stasis check`.
 *
 * @module
 */
import { EXIT_STATUS } from "../base/errors.ts";
import type { CheckReport } from "../check.ts";
import { type Command, defineCommand } from "./command.ts";
import { toJson } from "../base/json.ts";
import { loadPlugins, PLUGIN_OPTION } from "./options.ts";
import { hasColour, paint } from "./ui/colour.ts";
import { print } from "./ui/print.ts";
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
    ...table(report.verdicts.map(({ operation, whose, possible, note = "" }) => [
      paint(VERDICT_STYLES[possible], possible === "limited" ? "yes" : possible, colour),
      `${operation} of ${whose === "own" ? "your own programs" : "others' programs"}`,
      note,
    ])),
    ...isUsable(report) ? [] : ["Stasis cannot work here: what is marked MISSING is required."],
  ];
}

const VERDICT_STYLES = { yes: "green", limited: "yellow", no: "red" } as const;

/** The command. */
export const check: Command = defineCommand({
  name: "check",
  summary: "tell what this kernel and this user can do",
  description:
    "Tells feature by feature what this kernel and this user can do, which back end Syscall User " +
    "Dispatch has here, and in the end what can be done with your own programs and with those of others. Ends with status 6 if something is missing that Stasis cannot do without.",
  options: {
    plugin: PLUGIN_OPTION,
    json: { flags: "--json", description: "print the report as JSON" },
  },
  examples: [["stasis check", "look at this machine"]],
  async run(_argument, options, setStatus) {
    const plugins = await loadPlugins(options.plugin ?? []);
    const { check } = await import("../check.ts");
    const report = check({ plugins });
    const usable = isUsable(report);
    print(
      options.json
        ? toJson({ ...report, usable })
        : describeCheck(report, hasColour(Deno.stdout)).join("\n"),
    );
    if (!usable) setStatus(EXIT_STATUS["kernel-too-old"]);
  },
});
