/**
 * `stasis ps`.
 *
 * @module
 */
import { type Command, defineCommand } from "./command.ts";
import { toJson } from "../base/json.ts";
import { loadPlugins, PLUGIN_OPTION } from "./options.ts";
import { hasColour } from "./ui/colour.ts";
import { print } from "./ui/print.ts";

/** The command. */
export const ps: Command = defineCommand({
  name: "ps",
  summary: "show which processes can be checkpointed, and what stands against the others",
  description:
    "Looks at processes of this machine, each with its descendants, as a checkpoint does before it touches anything: " +
    "what it could not save, and why. No process notices.",
  argument: ["[pattern]", "a process id, or a regular expression for names and command lines"],
  more: { name: "[patterns...]", description: "more of them; none: all processes" },
  options: {
    leaveRunning: {
      flags: "-R, --leave-running",
      description: "for checkpoints that let their tree run on",
    },
    tcpEstablished: {
      flags: "--tcp-established",
      description: "for checkpoints with TCP connections to outside",
    },
    plugin: PLUGIN_OPTION,
    json: { flags: "--json", description: "print everything as JSON" },
    verbose: { flags: "-v, --verbose", description: "show every reason, and what to do" },
  },
  examples: [
    ["stasis ps", "all processes"],
    ["stasis ps nginx 1234 -v", "some, with all reasons"],
    ["stasis ps --json | jq '.[] | select(.problems == []) | .pid'", "for scripts"],
  ],
  async run(argument, options, _setStatus, more) {
    const [{ survey }, { chooseProcesses }, { describeVerdicts }, { processOf, readCandidates }] =
      await Promise.all([
        import("../mod.ts"),
        import("./ps/choose.ts"),
        import("./ps/text.ts"),
        import("./ps/candidates.ts"),
      ]);
    const words = argument === undefined ? [] : [argument, ...more];
    const chosen = chooseProcesses(readCandidates(), words, processOf);
    const { leaveRunning, tcpEstablished, verbose = false } = options;
    const verdicts = await survey(chosen.map(({ pid }) => pid), {
      plugins: await loadPlugins(options.plugin ?? []),
      options: { leaveRunning, tcpEstablished },
    });
    print(
      options.json
        ? toJson(verdicts)
        : describeVerdicts(verdicts, { verbose, colour: hasColour(Deno.stdout) }).join("\n"),
    );
  },
});
