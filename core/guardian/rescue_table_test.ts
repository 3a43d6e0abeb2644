import assert from "@std/assert";
import { Siginfo } from "../linux/siginfo.ts";
import { PTRACE } from "../linux/ptrace.ts";
import {
  ENTRY_ARGUMENTS,
  ENTRY_RESULT,
  ENTRY_SIZE,
  OPERATION_COPY,
  OPERATION_JUMP,
  OPERATION_UNLESS,
} from "../linux/x86_64/program_code.ts";
import { REGISTER, Registers } from "../linux/x86_64/registers.ts";
import { type SyscallName, SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { ptraceCall, type ThreadUndo, writeCall } from "../remote/undo.ts";
import {
  type Block,
  BLOCK_SIZE,
  callBlock,
  decideBy,
  ENTRY_POINTS,
  FIRST_BLOCK,
  killBlock,
  listEnd,
  listHead,
  type ListName,
  makeHead,
  memoryBlock,
  signalBlock,
  TABLE_ADDRESS,
  threadBlock,
} from "./rescue_table.ts";

const MARK = 0x1234_5678_9abc_def0n;
const SECOND = 77;
const WAITING_MASK = 0xffffn;

/** A call that the rescue program made, with its arguments. */
type Made = [SyscallName, ...bigint[]];

/** The table of a guardian, and what runs it: what the machine code does, in TypeScript. */
class Table {
  readonly bytes = new Uint8Array(FIRST_BLOCK + 16 * BLOCK_SIZE);
  /** The mask of every thread. */
  mask = WAITING_MASK;
  readonly #view = new DataView(this.bytes.buffer);
  readonly #newest = new Map<ListName, bigint>();
  #next = FIRST_BLOCK;

  constructor() {
    this.bytes.set(makeHead(0, 1, SECOND));
  }

  readonly before = (list: ListName): bigint => this.#newest.get(list) ?? listEnd(list);

  /** Notes something. @returns what switches it off */
  add(make: (at: number) => Block): () => void {
    const at = this.#next;
    this.#next += BLOCK_SIZE;
    const { bytes, links, off } = make(at);
    assert.equal(bytes.length, BLOCK_SIZE);
    this.bytes.set(bytes, at);
    for (const { list, start } of links) {
      this.word(listHead(list), start);
      this.#newest.set(list, start);
    }
    return () => this.word(off.at, off.value);
  }

  word(at: number, value: bigint): void {
    this.#view.setBigUint64(at, value, true);
  }

  /** Memory of the table, by its address in the guardian. */
  at(address: bigint, size: number): Uint8Array {
    const at = Number(address - TABLE_ADDRESS);
    assert.ok(at >= 0 && at + size <= this.bytes.length, `0x${address.toString(16)}`);
    return this.bytes.subarray(at, at + size);
  }

  /**
   * Runs it until it exits.
   *
   * @param marked the threads that wait with the mark
   * @param answers results of calls, by name; 0 if absent
   */
  run(
    marked: readonly number[] = [],
    answers: Partial<Record<SyscallName, bigint>> = {},
    entry: bigint = ENTRY_POINTS.first,
  ): Made[] {
    const made: Made[] = [];
    for (let here = entry;;) {
      const at = Number(here - TABLE_ADDRESS);
      const operation = this.#view.getBigUint64(at, true);
      const arg = (index: number) =>
        this.#view.getBigUint64(at + ENTRY_ARGUMENTS + index * 8, true);
      here += BigInt(ENTRY_SIZE);
      if (operation === OPERATION_JUMP) here = arg(0);
      else if (operation === OPERATION_UNLESS) {
        const word = new DataView(this.at(arg(0), 8).slice().buffer).getBigUint64(0, true);
        if (word !== arg(1)) here = arg(2);
      } else if (operation === OPERATION_COPY) {
        const target = this.at(arg(0), 8);
        target.fill(0);
        target.set(this.at(arg(1), Number(arg(2))));
      } else {
        const name = Object.entries(SYSCALLS).find(([, number]) => BigInt(number) === operation);
        assert.ok(name !== undefined, `operation ${operation} at ${at}`);
        const call = name?.[0] as SyscallName;
        const args = [0, 1, 2, 3, 4, 5].map(arg);
        made.push([call, ...args]);
        if (call === "exit_group") return made;
        if (call === "ptrace" && args[0] === PTRACE.GETREGS) {
          const view = new DataView(this.bytes.buffer, Number(args[3]! - TABLE_ADDRESS));
          view.setBigUint64(REGISTER.r15 * 8, marked.includes(Number(args[1])) ? MARK : 0n, true);
        }
        if (call === "ptrace" && args[0] === PTRACE.GETSIGMASK) {
          const view = new DataView(this.bytes.buffer, Number(args[3]! - TABLE_ADDRESS));
          view.setBigUint64(0, this.mask, true);
        }
        const result = answers[call] ?? (call === "ppoll" ? 1n : 0n);
        this.#view.setBigUint64(at + ENTRY_RESULT, BigInt.asUintN(64, result), true);
      }
    }
  }
}

function undoOf(tid: number): ThreadUndo {
  return {
    tid,
    options: 1n << 21n,
    waitingMask: WAITING_MASK,
    calls: [ptraceCall(PTRACE.SETREGS, tid, 0n, Uint8Array.of(1, 2, 3, Number(tid)))],
  };
}

const addThread = (table: Table, tid: number) =>
  table.add((at) => threadBlock(at, undoOf(tid), MARK, table.before));

/** The calls in a readable form: ptrace requests by their names, with the thread. */
function names(made: readonly Made[]): string[] {
  return made.map(([name, ...args]) => {
    if (name !== "ptrace") return `${name} ${args[0]}`;
    const request = Object.entries(PTRACE).find(([, value]) => value === args[0])?.[0];
    return `${request} ${args[1]}`;
  }).filter((text) => !text.startsWith("ppoll"));
}

const END = ["kill 77", "exit_group 0"];

Deno.test("an empty table has nothing undone", () => {
  assert.deepEqual(names(new Table().run()), END);
});

Deno.test("a guardian that cannot wait does nothing", () => {
  const table = new Table();
  addThread(table, 10);
  assert.deepEqual(names(table.run([10], { ppoll: -12n })), END);
});

Deno.test("threadBlock() puts back what waits, and lets go of all, after all have stopped", () => {
  const table = new Table();
  addThread(table, 10);
  addThread(table, 11);
  const made = table.run([11]);
  assert.deepEqual(names(made), [
    ...["SEIZE 11", "INTERRUPT 11", "SEIZE 10", "INTERRUPT 10", "wait4 11", "wait4 10"],
    ...["GETREGS 11", "SETREGS 11", "DETACH 11", "DETACH 11"],
    ...["GETREGS 10", "DETACH 10", "DETACH 10"],
    ...END,
  ]);
  const seize = made.find(([, request]) => request === PTRACE.SEIZE) as Made;
  assert.equal(seize[4], 1n << 21n);
  const setregs = made.find(([, request]) => request === PTRACE.SETREGS) as Made;
  assert.deepEqual([...table.at(setregs[4] as bigint, 4)], [1, 2, 3, 11]);
});

Deno.test("threadBlock() gives a thread the signal that it was about to take, and nothing else", () => {
  const table = new Table();
  addThread(table, 10);
  const made = table.run([10]);
  const [status] = made.filter(([name]) => name === "wait4").map((call) => call[2] as bigint);
  const signalOf = (word: number[]) => {
    table.at(status as bigint, 4).set(word);
    const [first, second] = table.run([10]).filter(([, request]) => request === PTRACE.DETACH);
    assert.equal(second?.[4], 0n);
    return first?.[4];
  };
  assert.equal(signalOf([0x7f, 19, 0, 0]), 19n);
  // An event's number makes of it what is no signal: the kernel refuses it, and the second one lets go.
  assert.equal(signalOf([0x7f, 5, 128, 0]), 0x8005n);
});

Deno.test("a block that is switched off is passed by", () => {
  const table = new Table();
  const off = addThread(table, 10);
  addThread(table, 11);
  off();
  const made = names(table.run([10, 11]));
  assert.ok(!made.includes("SEIZE 10"));
  assert.ok(made.includes("SETREGS 11"));
});

Deno.test("callBlock() and memoryBlock() undo what was done to a process, last first, before its threads go on", () => {
  const table = new Table();
  addThread(table, 10);
  const memory = { pid: 10, tid: 10, address: 0x7000n, bytes: Uint8Array.of(9, 8, 7) };
  const forget = table.add((at) => memoryBlock(at, memory, MARK, table.before));
  const registers = new Registers().set("ax", 11n);
  table.add((at) => callBlock(at, { tid: 10, registers }, MARK, table.before));
  const made = table.run([10]);
  assert.deepEqual(names(made).slice(3), [
    ...["GETREGS 10", "SETREGS 10", "SYSCALL 10", "wait4 10", "SYSCALL 10", "wait4 10"],
    ...["INTERRUPT 10", "CONT 10", "wait4 10"],
    ...["GETREGS 10", "process_vm_writev 10"],
    ...["GETREGS 10", "SETREGS 10", "DETACH 10", "DETACH 10"],
    ...END,
  ]);
  const [, , local, , remote] = made.find(([name]) => name === "process_vm_writev") as Made;
  const vector = (address: bigint) => new BigUint64Array(table.at(address, 16).slice().buffer);
  const [base, length] = vector(local as bigint);
  assert.deepEqual([...table.at(base as bigint, Number(length))], [9, 8, 7]);
  assert.deepEqual([...vector(remote as bigint)], [0x7000n, 3n]);

  forget();
  assert.ok(!names(table.run([10])).includes("process_vm_writev 10"));
  // A thread that the tool has put back already makes no call for anybody.
  const fresh = new Table();
  addThread(fresh, 10);
  fresh.add((at) => callBlock(at, { tid: 10, registers }, MARK, fresh.before));
  assert.ok(!names(fresh.run()).includes("SYSCALL 10"));
});

Deno.test("threadBlock() takes what a plugin noted: a request, and memory", () => {
  const table = new Table();
  const undo: ThreadUndo = {
    tid: 10,
    options: 0n,
    waitingMask: WAITING_MASK,
    calls: [writeCall(10, 0x8000n, new Uint8Array(8)), ...undoOf(10).calls],
  };
  table.add((at) => threadBlock(at, undo, MARK, table.before));
  const made = names(table.run([10]));
  assert.deepEqual(made.slice(3, 6), ["GETREGS 10", "process_vm_writev 10", "SETREGS 10"]);
});

Deno.test("threadBlock() ends an interrupted call where a signal may have been handled meanwhile", () => {
  const table = new Table();
  const afterSignal = ptraceCall(PTRACE.SETREGS, 10, 0n, Uint8Array.of(4));
  const undo: ThreadUndo = { ...undoOf(10), afterSignal };
  table.add((at) => threadBlock(at, undo, MARK, table.before));
  const end = ["DETACH 10", "DETACH 10", ...END];
  const waited = names(table.run([10])).slice(3);
  assert.deepEqual(waited, ["GETREGS 10", "GETSIGMASK 10", "SETREGS 10", ...end]);
  table.mask = 0n;
  const handled = names(table.run([10])).slice(3);
  assert.deepEqual(handled, ["GETREGS 10", "GETSIGMASK 10", "SETREGS 10", "SETREGS 10", ...end]);
  assert.deepEqual(names(table.run()).slice(3), ["GETREGS 10", ...end]);
});

Deno.test("signalBlock() sends a signal as it was, or as kill(2) may", () => {
  const table = new Table();
  const info = Siginfo.make(19, 0, 0n);
  table.add((at) => signalBlock(at, 10, 11, info, table.before));
  assert.deepEqual(names(table.run()), ["rt_tgsigqueueinfo 10", ...END]);
  const refused = table.run([], { rt_tgsigqueueinfo: -1n });
  assert.deepEqual(names(refused), ["rt_tgsigqueueinfo 10", "tgkill 10", ...END]);
});

Deno.test("decideBy() has the tree killed where its images are there, and rescued where not", () => {
  const table = new Table();
  addThread(table, 10);
  table.add((at) => killBlock(at, 10, table.before));
  const { path, at, mode } = decideBy(new TextEncoder().encode("/images/inventory.img\0"));
  table.bytes.set(path, at);
  table.word(mode.at, mode.value);
  const made = table.run([10]);
  assert.deepEqual(names(made).slice(1), ["kill 10", ...END]);
  const [, asked] = made.find(([name]) => name === "access") as Made;
  assert.deepEqual([...table.at(asked as bigint, path.length)], [...path]);
  assert.ok(names(table.run([10], { access: -2n })).includes("SETREGS 10"));
});

Deno.test("the second guardian kills the tree where the first one has died before its work", () => {
  const table = new Table();
  addThread(table, 10);
  table.add((at) => killBlock(at, 10, table.before));
  const made = table.run([10], {}, ENTRY_POINTS.second);
  assert.equal(made.filter(([name]) => name === "ppoll").length, 2);
  assert.deepEqual(names(made), ["kill 10", ...END]);
});
