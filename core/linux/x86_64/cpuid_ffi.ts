/**
 * CPUID and XGETBV of the machine that this process runs on: the only source of the layout of the xsave
 * area. Neither is a system call, so two dozen bytes of machine code are put into a page of their own and
 * called. Source: Intel SDM vol. 2A (CPUID), vol. 2D (XGETBV).
 *
 * @module
 */
import { addressOf } from "../libc_ffi.ts";
import { mapOwnCode } from "./own_code.ts";

/** void cpuid(u32 leaf, u32 subleaf, u32 out[4]) in the System V calling convention. */
// deno-fmt-ignore
const CPUID_CODE = [
  0x53,                         // push rbx (belongs to the caller)
  0x49, 0x89, 0xd0,             // mov  r8, rdx
  0x89, 0xf8,                   // mov  eax, edi
  0x89, 0xf1,                   // mov  ecx, esi
  0x0f, 0xa2,                   // cpuid
  0x41, 0x89, 0x00,             // mov  [r8], eax
  0x41, 0x89, 0x58, 0x04,       // mov  [r8+4], ebx
  0x41, 0x89, 0x48, 0x08,       // mov  [r8+8], ecx
  0x41, 0x89, 0x50, 0x0c,       // mov  [r8+12], edx
  0x5b,                         // pop  rbx
  0xc3,                         // ret
];

/** void xgetbv(u32 register, u32, u32 out[2]). */
// deno-fmt-ignore
const XGETBV_CODE = [
  0x49, 0x89, 0xd0,             // mov  r8, rdx
  0x89, 0xf9,                   // mov  ecx, edi
  0x0f, 0x01, 0xd0,             // xgetbv
  0x41, 0x89, 0x00,             // mov  [r8], eax
  0x41, 0x89, 0x50, 0x04,       // mov  [r8+4], edx
  0xc3,                         // ret
];

const XGETBV_AT = 64;
const SIGNATURE = { parameters: ["u32", "u32", "buffer"], result: "void" } as const;

type Code = Deno.UnsafeFnPointer<typeof SIGNATURE>;
let loaded: { readonly cpuid: Code; readonly xgetbv: Code } | undefined;

/** Maps the code, once. */
function code(): NonNullable<typeof loaded> {
  if (loaded !== undefined) return loaded;
  const bytes = new Uint8Array(XGETBV_AT + XGETBV_CODE.length);
  bytes.set(CPUID_CODE, 0);
  bytes.set(XGETBV_CODE, XGETBV_AT);
  const page = mapOwnCode("cpuid", bytes);
  const at = (offset: number): Code => {
    const pointer = Deno.UnsafePointer.create(page + BigInt(offset));
    return new Deno.UnsafeFnPointer(pointer as Deno.PointerObject<typeof SIGNATURE>, SIGNATURE);
  };
  return loaded = { cpuid: at(0), xgetbv: at(XGETBV_AT) };
}

/** What CPUID left in the four registers. */
export interface CpuidResult {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

/** Runs CPUID. @param leaf what goes into EAX @param subleaf what goes into ECX */
export function cpuid(leaf: number, subleaf = 0): CpuidResult {
  const out = new Uint32Array(4);
  const bytes = new Uint8Array(out.buffer);
  // The address is taken so that the buffer has left V8's heap before the code writes to it.
  addressOf(bytes);
  code().cpuid.call(leaf, subleaf, bytes);
  const [eax, ebx, ecx, edx] = out as unknown as [number, number, number, number];
  return { eax, ebx, ecx, edx };
}

/** CR4.OSXSAVE as CPUID.1:ECX shows it: the kernel has enabled xsave, and XGETBV is no illegal instruction. */
const OSXSAVE = 1 << 27;

/** XCR0: the state components that the kernel lets programs use, bit N for component N; 3 without xsave. */
export function enabledStateComponents(): bigint {
  if ((cpuid(1).ecx & OSXSAVE) === 0) return 3n;
  const out = new Uint32Array(2);
  const bytes = new Uint8Array(out.buffer);
  addressOf(bytes);
  code().xgetbv.call(0, 0, bytes);
  return BigInt(out[0] as number) | BigInt(out[1] as number) << 32n;
}
