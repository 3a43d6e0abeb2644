import assert from "@std/assert";
import { findCallSite, findWaitingPlace } from "./waiting_code.ts";

const bytes = (text: string) => Uint8Array.from(text.split(" "), (byte) => parseInt(byte, 16));

Deno.test("findWaitingPlace() finds jumps to themselves that are taken", () => {
  assert.equal(findWaitingPlace(bytes("90 eb fe 90")), 1);
  assert.equal(findWaitingPlace(bytes("90 7a fe")), 1); // jp
  assert.equal(findWaitingPlace(bytes("75 fe 90 74 fe")), 3); // jne is not taken, je is
  assert.equal(findWaitingPlace(bytes("fe fe 90 78 fe")), -1);
  assert.equal(findWaitingPlace(bytes("90 eb")), -1);
});

Deno.test("findCallSite() finds calls behind which there is nothing but a return", () => {
  assert.equal(findCallSite(bytes("90 0f 05 c3")), 1);
  // pop rbx; pop r12; pop rbp; ret
  assert.equal(findCallSite(bytes("0f 05 5b 41 5c 5d c3")), 0);
  // leave; xor edx, edx; xor r8d, r8d; ret
  assert.equal(findCallSite(bytes("0f 05 c9 31 d2 45 31 c0 c3")), 0);
  // lea rsp, [rbp-16]; pop rbx; pop r14; pop rbp; ret
  assert.equal(findCallSite(bytes("0f 05 48 8d 65 f0 5b 41 5e 5d c3")), 0);
});

Deno.test("findCallSite() passes by what would lose the result, the mark, the flags or the way", () => {
  for (
    const behind of [
      "58 c3", // pop rax
      "31 c0 c3", // xor eax, eax
      "41 5f c3", // pop r15
      "45 31 ff c3", // xor r15d, r15d
      "5c c3", // pop rsp
      "48 83 c4 08 c3", // add rsp, 8: flags
      "48 3d 01 f0 ff ff c3", // cmp
      "5d c9 c3", // pop rbp; leave
      "5d 48 8d 65 f0 c3", // pop rbp; lea rsp, [rbp-16]
      "48 8d 65 80 5b 48 8d 65 84 c3", // words that are not aligned
      "31 d1 c3", // xor of two registers
      "45 31 c1 c3",
      "44 31 c0 c3", // xor eax, r8d
      "c2 08 00", // ret 8
      "0f 05",
      Array(40).fill("5b").join(" ") + " c3",
      "5b",
    ]
  ) assert.equal(findCallSite(bytes(`0f 05 ${behind}`)), -1, behind);
  // The next one is looked at, too.
  assert.equal(findCallSite(bytes("0f 05 58 c3 0f 05 5b c3")), 4);
});
