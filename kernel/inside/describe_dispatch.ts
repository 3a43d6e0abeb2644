// SPDX-License-Identifier: MIT
/**
 * Checkpoints subjects on the kernel that runs, and prints what their images say of dispatch, without what
 * differs from one run to the next: an address is told as a place in a file or relative to the thread's own
 * base registers, a thread by its rank. Runs in the VM and outside, so that the two can be compared.
 *
 *     describe_dispatch.ts 'NAME ARGUMENT...' ...
 *
 * @module
 */

import { FILES } from "../../images/kinds/files.ts";
import { CORE, INVENTORY, PSTREE } from "../../images/kinds/core.ts";
import { MM } from "../../images/kinds/memory.ts";
import { SUD } from "../../images/kinds/sud.ts";
import { checkpoint, type ImageDirectory, openImages } from "../../mod.ts";
import { Subject } from "../../tests/harness/subject.ts";
import { UNHURRIED } from "../../tests/harness/unhurried.ts";

/** What lies nearer to a base register than this is thread-local. */
const NEAR = 1n << 16n;
const PAGE = 4096n;

/** All that is said of one subject, as lines. */
function describe(images: ImageDirectory): string[] {
  const lines = [`plugins ${images.read(INVENTORY, null).pluginsEntry?.plugins}`];
  const paths = new Map(
    images.readList(FILES, null).map((file) => [BigInt(file.id), file.reg?.name]),
  );
  const entries = images.readList(SUD, null);
  for (const [rank, { pid, threads }] of images.readList(PSTREE, null).entries()) {
    const { vmas } = images.read(MM, pid);
    const place = (address: bigint, tid: number): string => {
      if (address === 0n) return "0";
      const vma = vmas.find(({ start, end }) => start <= address && address < end);
      const path = vma && paths.get(vma.shmid)?.split("/").at(-1);
      if (vma && path) return `${path} ${address - vma.start + vma.pgoff}`;
      const { fsBase = 0n, gsBase = 0n } = images.read(CORE, tid).threadInfo?.gpregs ?? {};
      for (const [name, base] of [["gs", gsBase], ["fs", fsBase]] as const) {
        const distance = address - base;
        if (base !== 0n && distance > -NEAR && distance < NEAR) return `${name} ${distance}`;
      }
      return vma ? `memory ${address % PAGE}` : `0x${address.toString(16)}`;
    };
    lines.push(`task ${rank}: ${threads.length} threads`);
    for (const [index, tid] of threads.entries()) {
      const entry = entries.find((entry) => entry.tid === tid);
      if (entry === undefined) continue;
      const { mode, selector, offset, len } = entry;
      // It ends with the vDSO if that comes last; where it lies is for the kernel to decide.
      const covered = vmas.filter(({ start, end }) => offset <= start && end <= offset + len)
        .map(({ shmid }) => paths.get(shmid)?.split("/").at(-1));
      const files = [...new Set(covered)].filter((path) => path !== undefined).sort();
      const range = len === 0n
        ? "empty"
        : `from ${place(offset, tid)}, with ${files.join(" and ")}`;
      lines.push(
        `thread ${index}: mode ${mode}, selector ${place(selector, tid)}, range ${range}`,
      );
    }
  }
  return lines;
}

if (import.meta.main) {
  const result: Record<string, string[]> = {};
  for (const title of Deno.args) {
    const [name, ...args] = title.split(" ") as [string, ...string[]];
    const home = Deno.makeTempDirSync({ prefix: "stasis-images-" });
    try {
      await using subject = await Subject.start(name, { args });
      await checkpoint(subject.pid, { directory: `${home}/images`, options: UNHURRIED });
      result[title] = describe(openImages(`${home}/images`));
    } finally {
      Deno.removeSync(home, { recursive: true });
    }
  }
  console.log(JSON.stringify(result));
}
