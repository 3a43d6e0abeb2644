import { deepEqual, equal } from "@std/assert";
import { isFlusher, surveyTags } from "./survey.ts";

function problems(untagMask: bigint | undefined): string[] {
  const found: string[] = [];
  surveyTags({ untagMask }, 5, ({ what }) => void found.push(what));
  return found;
}

Deno.test("surveyTags() refuses a program whose pointers have tags, and no other", () => {
  deepEqual(problems(undefined), []);
  deepEqual(problems(0xffff_ffff_ffff_ffffn), []);
  // LAM_U57: six bits of an address do not count.
  deepEqual(problems(0x81ff_ffff_ffff_ffffn), [
    "its pointers may have tags (ARCH_ENABLE_TAGGED_ADDR), which cannot be saved yet",
  ]);
});

Deno.test("isFlusher() takes both flags of an I/O flusher, and none that memory allocation sets for itself", () => {
  equal(isFlusher({ flags: 0x00180000 | 0x40 }), true);
  for (const flags of [0, 0x00080000, 0x00100000, 0x40]) equal(isFlusher({ flags }), false);
});
