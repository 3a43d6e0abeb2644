import { equal, ok } from "@std/assert";
import { cpuid, enabledStateComponents } from "../../core/linux/x86_64/cpuid_ffi.ts";
import { COMPONENT, xstateLayout } from "./layout.ts";

Deno.test("cpuid() tells the vendor that /proc/cpuinfo has", () => {
  const { ebx, edx, ecx } = cpuid(0);
  const words = new Uint32Array([ebx, edx, ecx]);
  const vendor = new TextDecoder().decode(new Uint8Array(words.buffer));
  equal(vendor, /^vendor_id\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1]);
});

Deno.test("enabledStateComponents() has the components of the flags in /proc/cpuinfo", () => {
  const flags = / (?:.* )?avx /.test(Deno.readTextFileSync("/proc/cpuinfo"));
  equal((enabledStateComponents() >> BigInt(COMPONENT.ymm) & 1n) === 1n, flags);
});

Deno.test("xstateLayout() places components behind the header, none over another", () => {
  let end = 576;
  const parts = [...xstateLayout().values()].sort((a, b) => a.offset - b.offset);
  for (const { offset, size } of parts) {
    ok(offset >= end, `${offset} lies before ${end}`);
    end = offset + size;
  }
});
