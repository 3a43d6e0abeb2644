import assert from "@std/assert";
import { QuickMappings } from "../../core/checkpoint/quick_mappings.ts";
import { Task } from "../../core/checkpoint/task.ts";
import { readSmaps, type Vma } from "../../core/linux/procfs/mod.ts";
import { openMappingReader } from "../../core/linux/mapping_words.ts";
import { waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { Subject } from "../harness/subject.ts";

/** Why no mappings can be read quickly here; undefined where they can. */
function missing(): string | undefined {
  using reader = openMappingReader();
  return reader === undefined
    ? "the kernel does not run programs for mappings (BPF iterators of one task, Linux 6.1, with BTF)"
    : undefined;
}

/** What is told exactly, whichever way mappings are read. */
function exact({ rss: _, anonymous: _a, swap: _s, flags, ...mapping }: Vma) {
  return { ...mapping, flags: [...flags] };
}

for (const name of ["mem_madvise", "mem_mlock", "mem_vdso", "mem_many"]) {
  Deno.test(`the mappings of ${name} are read as smaps tells them, without it`, async (t) => {
    const lacking = missing();
    if (lacking !== undefined) return skip(t, lacking);
    await using subject = await Subject.start(name, name === "mem_many" ? { args: ["1000"] } : {});
    const { pid } = subject;
    const task = new Task(pid);
    using quick = new QuickMappings([task], 0n);
    assert.ok(quick.has(pid));
    quick.learn([task]);
    Deno.kill(pid, "SIGSTOP");
    await waitUntil(() => new Task(pid).stat.state === "T", "it to stop");
    const vmas = quick.read(new Task(pid)) ?? [];
    const slowly = readSmaps(pid);
    assert.deepEqual(vmas.map(exact), slowly.map(exact));
    for (const [index, { rss, start }] of slowly.entries()) {
      assert.ok((vmas[index]?.rss ?? 0) >= rss, `${start.toString(16)} has more than was said`);
    }
    Deno.kill(pid, "SIGCONT");
    await subject.expectPass();
  });
}

Deno.test("mappings with flags that were not met before are left to smaps", (t) => {
  const lacking = missing();
  if (lacking !== undefined) return skip(t, lacking);
  const task = new Task(Deno.pid);
  using quick = new QuickMappings([task], 0n);
  // Nothing has been learnt.
  assert.equal(quick.read(task), undefined);
});
