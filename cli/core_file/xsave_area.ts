/**
 * Extended registers of an image as the xsave area of NT_X86_XSTATE. Pure.
 *
 * @module
 */
import type { user_x86_fpregs_entry } from "../../images/gen/registers_x86_pb.ts";
import { COMPONENT, type XstateLayout } from "../../plugins/registers/layout.ts";
import { decodeXstate } from "../../plugins/registers/xstate.ts";

/** The size of the area of FXSAVE, which all processors have. */
const FXSAVE_SIZE = 512;
/** It and the header of XSAVE. */
const MINIMAL_SIZE = 576;
/** Where the kernel puts XCR0 into the area (USER_XSTATE_XCR0_WORD of arch/x86/include/asm/user.h): it tells which components there are. */
const XCR0 = 464;

/**
 * Where components lie on Intel's processors since Skylake: number, offset and size. Debuggers expect that one for all
 * sets of components that they know, wherever the program ran. `field` is the image's.
 */
const PLACES = [
  { number: COMPONENT.ymm, offset: 576, size: 256, field: "ymmhSpace" },
  { number: COMPONENT.bndregs, offset: 960, size: 64, field: "bndregState" },
  { number: COMPONENT.bndcsr, offset: 1024, size: 64, field: "bndcsrState" },
  { number: COMPONENT.opmask, offset: 1088, size: 64, field: "opmaskReg" },
  { number: COMPONENT.zmmHi256, offset: 1152, size: 512, field: "zmmUpper" },
  { number: COMPONENT.hi16Zmm, offset: 1664, size: 1024, field: "hi16Zmm" },
  { number: COMPONENT.pkru, offset: 2688, size: 8, field: "pkru" },
] as const;

/** The area, with the components that the processor of the checkpoint had; 512 bytes where that had no XSAVE. */
export function xsaveArea(fpregs: user_x86_fpregs_entry): Uint8Array {
  const { xsave } = fpregs;
  const had = PLACES.filter(({ field }) => (xsave?.[field].length ?? 0) > 0);
  const last = had.at(-1);
  const size = xsave === undefined
    ? FXSAVE_SIZE
    : last === undefined
    ? MINIMAL_SIZE
    : last.offset + last.size;
  const layout: XstateLayout = new Map(had.map((place) => [place.number, place]));
  const area = decodeXstate(fpregs, layout, size);
  if (xsave !== undefined) {
    const xcr0 = had.reduce((bits, { number }) => bits | 1n << BigInt(number), 3n);
    new DataView(area.buffer).setBigUint64(XCR0, xcr0, true);
  }
  return area;
}
