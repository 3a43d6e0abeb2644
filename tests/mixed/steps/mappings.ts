/**
 * Steps that map memory.
 *
 * @module
 */

import type { Step } from "./step.ts";

export const MAPPINGS = {
  map: {
    weight: 14,
    make({ random, task, add }) {
      const pages = random.pick([1, 4, 4, 16, 600]);
      // A deleted file of many pages is too large to be saved.
      const deleted = pages > 16 ? [] : ["file", "deleted"];
      const kind = random.pick([[], [], ["file"], deleted, ["noreserve"], ["down"]]);
      const shared = kind[0] === "down" ? [] : random.some(["shared"], 0.4);
      const holes = pages < 4 || kind[0] === "down" ? [] : ["hole", "none", "ro", "guard"]
        .map((name, index) => `${name}=${1 + index % (pages - 1)}`)
        .filter((word) => random.chance(0.15) && (word[0] !== "g" || kind.length === 0));
      const advice = [
        ...random.some(["dontfork", "dontdump", "nohuge", "merge", "random", "sequential"], 0.08),
        ...(shared.length === 0 && kind.length === 0 ? random.some(["wipe", "huge"], 0.1) : []),
      ];
      add("map", task.id, [
        ...kind,
        ...shared,
        `pages=${pages}`,
        ...holes,
        ...advice,
        ...random.some(["lock", "onfault", "untouched", "thin"], 0.1).slice(0, 2),
        ...(random.chance(0.15) ? [`prot=${random.pick(["r", "rx", "none", "rwx"])}`] : []),
      ]);
    },
  },
} satisfies Readonly<Record<string, Step>>;
