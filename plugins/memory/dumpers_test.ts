import { deepEqual } from "@std/assert";
import type { Task } from "../../core/checkpoint/task.ts";
import { parseSmaps, type Vma } from "../../core/linux/procfs/mod.ts";
import type { CheckpointSession } from "../../core/plugin.ts";
import { mappingDumpers } from "./dumpers.ts";
import { MappedFiles } from "./file_check.ts";
import { SharedObjects } from "./shared_objects.ts";

/** A mapping of this executable's file, with these flags. */
function vma(flags: string): Vma {
  const text = `7f0000000000-7f0000010000 rw-s 00000000 fe:00 12 /bin/sh\nSize: 64 kB\n` +
    `KernelPageSize:        4 kB\nProtectionKey:         0\nVmFlags: ${flags} \n`;
  return parseSmaps(new TextEncoder().encode(text))[0]!;
}

/** The kinds that claim a mapping. */
function kinds(flags: string): string[] {
  const session = { options: {} } as CheckpointSession;
  const dumpers = mappingDumpers(session, new MappedFiles({}), new SharedObjects(session));
  return dumpers.filter(({ claims }) => claims(vma(flags), { pid: Deno.pid } as Task))
    .map(({ kind }) => kind);
}

Deno.test("mappingDumpers() claim a file, and no memory of a device behind one", () => {
  deepEqual(kinds("rd wr sh mr mw me ms"), ["a file"]);
  deepEqual(kinds("rd wr sh mr mw me ms mm"), ["a file"]);
  deepEqual(kinds("rd wr sh mr mw me ms io de dd"), []);
  deepEqual(kinds("rd wr sh mr mw me ms pf io de dd"), []);
});
