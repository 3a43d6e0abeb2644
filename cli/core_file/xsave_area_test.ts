import { deepEqual, equal } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { user_x86_fpregs_entrySchema } from "../../images/gen/registers_x86_pb.ts";
import { xsaveArea } from "./xsave_area.ts";

const words = (count: number, value: number) => Array<number>(count).fill(value);
const legacy = {
  cwd: 0x37f,
  swd: 0,
  twd: 0,
  fop: 0,
  rip: 0n,
  rdp: 0n,
  mxcsr: 0x1f80,
  mxcsrMask: 0xffff,
  stSpace: words(32, 1),
  xmmSpace: words(64, 2),
};
const area = (xsave?: object) =>
  xsaveArea(create(user_x86_fpregs_entrySchema, { ...legacy, xsave }));
const view = (bytes: Uint8Array) => new DataView(bytes.buffer);

Deno.test("xsaveArea() has the components of the processor, where a debugger looks for them", () => {
  const bytes = area({ xstateBv: 7n, ymmhSpace: words(64, 3), pkru: [5, 0] });
  equal(bytes.length, 2696);
  equal(view(bytes).getBigUint64(464, true), 0x207n, "XCR0: what there is");
  equal(view(bytes).getBigUint64(512, true), 7n, "what is in use");
  deepEqual([24, 160, 576, 2688].map((at) => view(bytes).getUint32(at, true)), [0x1f80, 2, 3, 0]);
});

Deno.test("xsaveArea() is short for a processor with AVX alone, and for one without XSAVE", () => {
  equal(area({ xstateBv: 7n, ymmhSpace: words(64, 3) }).length, 832);
  equal(area({ xstateBv: 3n }).length, 576);
  equal(area().length, 512);
});
