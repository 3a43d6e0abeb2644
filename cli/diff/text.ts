/**
 * What `stasis diff` prints for people.
 *
 * @module
 */
import { printableName } from "../../base/byte_text.ts";
import type { MappingInfo } from "../inspect/mapping.ts";
import { paint } from "../ui/colour.ts";
import { plural } from "../ui/units.ts";
import type { Change, Named, TaskDiff, ThreadDiff, TreeDiff } from "./changes.ts";

/** What is compared; settings of processes such as limits and directories are not. */
const COMPARED = "processes, threads, descriptors, mappings, saved pages and System V objects";

/** The lines. @param colour whether to colour them */
export function describeDiff(diff: TreeDiff, colour: boolean): string[] {
  const { before, after, ended, begun, changed, sysv } = diff;
  const title = (text: string) => paint("bold", text, colour);
  const all = [...ended, ...begun, ...changed, ...sysv];
  if (all.length === 0) return [`${before} and ${after}: no difference in ${COMPARED}`];
  return [
    `${before} -> ${after}: ${
      [
        `${plural(changed.length, "process", "processes")} changed`,
        `${begun.length} begun`,
        `${ended.length} ended`,
      ].join(", ")
    }`,
    ...ended.map(({ id, name }) => `- process ${id} ${printableName(name)}`),
    ...begun.map(({ id, name }) => `+ process ${id} ${printableName(name)}`),
    ...changed.flatMap((task) => [
      "",
      title(`${task.pid} ${printableName(task.comm)}`),
      ...describeTask(task).map((line) => `  ${line}`),
    ]),
    ...sysv.length === 0
      ? []
      : ["", title("System V IPC"), ...sysv.map((one) => `  ${change(one)}`)],
  ];
}

function describeTask({ changes, threads, descriptors, mappings, pages }: TaskDiff): string[] {
  return [
    ...changes.map(change),
    ...threads.ended.map((one) => `- thread ${nameOf(one)}`),
    ...threads.begun.map((one) => `+ thread ${nameOf(one)}`),
    ...threads.changed.flatMap(describeThread),
    ...descriptors.closed.map(({ fd, what }) => `- descriptor ${fd}: ${what}`),
    ...descriptors.opened.map(({ fd, what }) => `+ descriptor ${fd}: ${what}`),
    ...descriptors.changed.map(({ fd, before, after }) =>
      change({ what: `descriptor ${fd}`, before, after })
    ),
    ...mappings.unmapped.map((one) => `- mapping ${mapping(one)}`),
    ...mappings.mapped.map((one) => `+ mapping ${mapping(one)}`),
    ...mappings.changed.map(({ before, after }) =>
      `mapping ${mapping(before)} -> ${mapping(after)}`
    ),
    ...pages.map(({ mapping, changed, saved }) =>
      `pages: ${changed} changed, ${saved} saved, of ${range(mapping)}  ${
        printableName(mapping.name)
      }`.trimEnd()
    ),
  ];
}

function describeThread({ tid, changes }: ThreadDiff): string[] {
  return changes.map((one) => `thread ${tid}, ${change(one)}`);
}

function nameOf({ id, name }: Named): string {
  return `${id} ${printableName(name)}`;
}

/** Longer texts are told of, not shown: `--json` has them whole. */
const MOST = 200;

function change({ what, before, after }: Change): string {
  const texts = [before, after].map((text) => text === undefined ? "none" : printableName(text));
  if (texts.some((text) => text.length > MOST)) return `${what}: changed (--json shows how)`;
  return `${what}: ${texts.join(" -> ")}`;
}

function mapping({ start, end, permissions, name }: MappingInfo): string {
  return `${range({ start, end })} ${permissions}  ${printableName(name)}`.trimEnd();
}

function range({ start, end }: Pick<MappingInfo, "start" | "end">): string {
  return `${start.slice(2)}-${end.slice(2)}`;
}
