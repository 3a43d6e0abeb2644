import { deepEqual, equal, throws } from "@std/assert";
import { encodeBytes } from "../../base/byte_text.ts";
import { coreNotes, type CoreProcess, encodeNotes, NOTE } from "./notes.ts";

const thread = (tid: number) => ({
  tid,
  registers: new Uint8Array(216).fill(tid),
  extended: new Uint8Array(576).fill(0xee),
  pending: 1n,
  blocked: 0x80n,
});
const process: CoreProcess = {
  pid: 10,
  ppid: 2,
  pgid: 3,
  sid: 4,
  uid: 1000,
  gid: 1001,
  nice: -5,
  flags: 0,
  signal: 0,
  comm: "a name of sixteen",
  args: encodeBytes(`prog\0first\0${"x".repeat(100)}`),
  threads: [thread(10), thread(11)],
  auxv: [6n, 4096n, 0n, 0n],
  files: [
    { start: 0x1000n, end: 0x3000n, offset: 0x2000n, path: "/lib/a" },
    { start: 0x8000n, end: 0x9000n, offset: 0n, path: "/lib/\udcff" },
  ],
};
const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("coreNotes() has the process once and each thread with its registers", () => {
  const notes = coreNotes(process);
  const { PRSTATUS, PRPSINFO, SIGINFO, AUXV, FILE, PRFPREG, X86_XSTATE } = NOTE;
  deepEqual(notes.map(({ type }) => type), [
    ...[PRSTATUS, PRPSINFO, SIGINFO, AUXV, FILE, PRFPREG, X86_XSTATE],
    ...[PRSTATUS, PRFPREG, X86_XSTATE],
  ]);
  deepEqual(
    notes.filter(({ owner }) => owner === "LINUX").map(({ type }) => type),
    [X86_XSTATE, X86_XSTATE],
  );
  const [status, info] = notes.map(({ description }) => description);
  equal(status!.length, 336);
  deepEqual([32, 36, 40, 44].map((at) => view(status!).getInt32(at, true)), [10, 2, 3, 4]);
  deepEqual([16, 24].map((at) => view(status!).getBigUint64(at, true)), [1n, 0x80n]);
  deepEqual(status!.subarray(112, 328), thread(10).registers);
  equal(info!.length, 136);
  equal(view(info!).getInt8(3), -5);
  deepEqual([16, 20].map((at) => view(info!).getUint32(at, true)), [1000, 1001]);
  equal(text(info!.subarray(40, 56)), "a name of sixte\0");
  equal(text(info!.subarray(56, 68)), "prog first x");
  equal(info!.at(-1), 0, "a NUL behind a long command line");
});

Deno.test("coreNotes() names mapped files with any bytes, offsets in pages", () => {
  const { description } = coreNotes(process).find(({ type }) => type === NOTE.FILE)!;
  const words = Array.from({ length: 8 }, (_, at) => view(description).getBigUint64(at * 8, true));
  deepEqual(words, [2n, 4096n, 0x1000n, 0x3000n, 2n, 0x8000n, 0x9000n, 0n]);
  deepEqual(description.subarray(64), encodeBytes("/lib/a\0/lib/\udcff\0"));
});

Deno.test("coreNotes() says by which signal a process is stopped", () => {
  const notes = coreNotes({ ...process, signal: 19 });
  const [status, info, signal] = notes.map(({ description }) => description);
  equal(view(status!).getUint16(12, true), 19);
  equal(String.fromCharCode(info![1]!), "T");
  equal(view(signal!).getInt32(0, true), 19);
});

Deno.test("coreNotes() wants a thread, and takes one of a processor without XSAVE", () => {
  throws(() => coreNotes({ ...process, threads: [] }), RangeError);
  const old = { ...thread(10), extended: new Uint8Array(512) };
  const types = coreNotes({ ...process, threads: [old] }).map(({ type }) => type);
  equal(types.includes(NOTE.X86_XSTATE), false);
});

Deno.test("encodeNotes() fills names and descriptions up to words", () => {
  const description = new Uint8Array([1, 2, 3, 4, 5]);
  const bytes = encodeNotes([
    { owner: "CORE", type: 7, description },
    { owner: "LINUX", type: 8, description: new Uint8Array(0) },
  ]);
  equal(bytes.length, 12 + 8 + 8 + 12 + 8);
  deepEqual([0, 4, 8].map((at) => view(bytes).getUint32(at, true)), [5, 5, 7]);
  equal(text(bytes.subarray(12, 17)), "CORE\0");
  deepEqual(bytes.subarray(20, 25), description);
  equal(view(bytes).getUint32(36, true), 8);
});
