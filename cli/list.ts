/**
 * `stasis list`.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import type { End, Made, Owner } from "../jobs/records.ts";
import { type Command, defineCommand } from "./command.ts";
import { print } from "./ui/print.ts";
import { table } from "./ui/table.ts";
import { formatBytes, formatMs } from "./ui/units.ts";

/** A store as it is shown. */
export interface StoreInfo {
  /** Where it is. */
  readonly directory: string;
  /** Whose it is; absent where nobody has saved to it yet. */
  readonly owner?: Owner;
  /** How the job has ended, if it has. */
  readonly end?: End;
  /** The number of the checkpoint that a restore takes. */
  readonly latest?: number;
  /** The checkpoints, the oldest first. */
  readonly checkpoints: readonly ({
    readonly number: number;
    /** The number of the one without which it cannot be restored. */
    readonly parent?: number;
  } & Partial<Made>)[];
}

/** The lines that people read. @param describe tells whose it is */
export function storeLines(
  { directory, owner, end, latest, checkpoints }: StoreInfo,
  describe: (owner: Owner) => string,
): string[] {
  const lines = [`${directory}: ${owner === undefined ? "nobody's yet" : describe(owner)}`];
  if (end !== undefined) lines.push(`ended with status ${end.code} at ${end.at}`);
  if (checkpoints.length === 0) return [...lines, "no checkpoints"];
  const rows = checkpoints.map(({ number, at, bytes, frozenMs, parent }) => [
    String(number),
    at ?? "-",
    bytes === undefined ? "-" : formatBytes(bytes),
    frozenMs === undefined ? "-" : formatMs(frozenMs),
    parent === undefined ? "-" : String(parent),
    number === latest ? "latest" : "",
  ]);
  const head = ["number", "when", "size", "stood still", "parent", ""];
  return [...lines, "", ...table([head, ...rows], ["right", "left", "right", "right", "right"])];
}

/** The command. */
export const list: Command = defineCommand({
  name: "list",
  summary: "show the checkpoints of a job's store",
  description:
    "Shows what is in a directory that stasis run or stasis watch saves to: whose it is, and of each checkpoint when it " +
    "was made, how large it is, for how long the job stood still, and which parent it cannot be restored without.",
  argument: ["[dir]", "the store"],
  options: { json: { flags: "--json", description: "print the result as JSON" } },
  examples: [["stasis list /var/jobs/7", "show the checkpoints of a job"]],
  async run(directory, { json }) {
    if (directory === undefined) {
      throw new StasisError("usage", "no store was given", { hint: "stasis list DIR" });
    }
    const { StoreReader } = await import("../jobs/store.ts");
    const { parentOf } = await import("../jobs/chain.ts");
    const { describeOwner } = await import("../jobs/records.ts");
    const store = new StoreReader(directory);
    const { checkpoints, latest } = store.list();
    const info: StoreInfo = {
      directory: store.path,
      owner: store.owner(),
      end: store.end(),
      latest,
      checkpoints: checkpoints.map((number) => ({
        number,
        ...store.made(number),
        parent: parentOf(store.path, number),
      })),
    };
    print(json ? toJson(info) : storeLines(info, describeOwner).join("\n"));
  },
});
