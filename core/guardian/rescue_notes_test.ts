import assert from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { Siginfo } from "../linux/siginfo.ts";
import { PTRACE } from "../linux/ptrace.ts";
import { SIG } from "../linux/signals.ts";
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
import { NO_CHILD, ptraceCall, Result, type ThreadUndo, writeCall } from "../remote/undo.ts";
import { TABLE_ADDRESS } from "./rescue_entries.ts";
import { RescueNotes } from "./rescue_notes.ts";
import { BLOCK_SIZE, ENTRY_POINTS, FIRST_BLOCK, makeHead } from "./rescue_table.ts";

const MARK = 0x1234_5678_9abc_def0n;
const SECOND = 77;
const HALFWAY_MASK = 0xffffn;
const FDS = { tool: 0, timer: 1, standIn: 2, first: 3 };
/** The status of a thread that was asked to stop and has. */
const INTERRUPTED = [0x7f, 5, 128, 0];

/** A call that the rescue program made, with its arguments. */
type Made = [SyscallName, ...bigint[]];

/** The table of a guardian, and what runs it: what the machine code does, in TypeScript. */
class Table {
  readonly bytes = new Uint8Array(FIRST_BLOCK + 32 * BLOCK_SIZE);
  readonly notes = new RescueNotes(MARK, (at, bytes) => this.bytes.set(bytes, at));
  /** The mask of every thread. */
  mask = HALFWAY_MASK;
  /** The status of a thread, by its id; that of one which was interrupted if absent. */
  readonly statuses = new Map<number, readonly number[]>();
  /** Children of others that the guardian traces all the same: each is told once, when it has been killed. */
  traced: readonly number[] = [];
  /** Threads that have ended. */
  ended: readonly number[] = [];
  /** The signals that wait for the process of every thread. */
  waiting: readonly number[] = [];
  readonly #view = new DataView(this.bytes.buffer);

  constructor() {
    this.bytes.set(makeHead(FDS, SECOND));
  }

  /** Memory of the table, by its address in the guardian. */
  at(address: bigint, size: number): Uint8Array {
    const at = Number(address - TABLE_ADDRESS);
    assert.ok(at >= 0 && at + size <= this.bytes.length, `0x${address.toString(16)}`);
    return this.bytes.subarray(at, at + size);
  }

  /**
   * Runs it until it exits, and leaves it as it was.
   *
   * @param marked the threads that wait with the mark
   * @param answer the result of a call; undefined for that of one that succeeds
   */
  run(
    marked: readonly number[] = [],
    answer: (call: Made, made: readonly Made[]) => bigint | undefined = () => undefined,
    entry: bigint = ENTRY_POINTS.first,
  ): Made[] {
    const kept = this.bytes.slice();
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
        const word = new Uint8Array(8);
        word.set(this.at(arg(1), Number(arg(2))));
        this.at(arg(0), 8).set(word);
      } else {
        const name = Object.entries(SYSCALLS).find(([, number]) => BigInt(number) === operation);
        assert.ok(name !== undefined, `operation ${operation} at ${at}`);
        const call: Made = [name?.[0] as SyscallName, ...[0, 1, 2, 3, 4, 5].map(arg)];
        const result = answer(call, made) ?? this.#succeed(call, marked);
        made.push(call);
        assert.ok(made.length < 10_000, "it does not end");
        if (call[0] === "exit_group") break;
        this.#view.setBigUint64(at + ENTRY_RESULT, BigInt.asUintN(64, result), true);
      }
    }
    this.bytes.set(kept);
    return made;
  }

  #succeed([name, ...args]: Made, marked: readonly number[]): bigint {
    const [first = 0n, second = 0n, , fourth = 0n] = args;
    const view = (address: bigint) =>
      new DataView(this.bytes.buffer, Number(address - TABLE_ADDRESS));
    switch (name) {
      case "ppoll":
        // The tool is dead, and the time is over.
        return 1n;
      case "rt_sigtimedwait":
        return BigInt(SIG.CHLD);
      case "waitid":
        // CLD_KILLED or CLD_TRAPPED.
        view(args[2]!).setInt32(8, this.ended.includes(Number(second)) ? 2 : 4, true);
        return 0n;
      case "wait4":
        // Threads have ids below 50 here.
        if (first >= 50n && !this.traced.includes(Number(first))) return -10n;
        if (first >= 50n) this.traced = this.traced.filter((one) => one !== Number(first));
        if (second !== 0n) this.at(second, 4).set(this.statuses.get(Number(first)) ?? INTERRUPTED);
        return first;
      case "ptrace":
        if (first === PTRACE.GETREGS) {
          view(fourth).setBigUint64(
            REGISTER.r15 * 8,
            marked.includes(Number(second)) ? MARK : 0n,
            true,
          );
        } else if (first === PTRACE.GETSIGMASK) {
          view(fourth).setBigUint64(0, this.mask, true);
        } else if (first === PTRACE.PEEKSIGINFO && view(args[2]!).getUint32(8, true) === 1) {
          this.waiting.forEach((signal, index) =>
            view(fourth).setInt32(index * Siginfo.SIZE, signal, true)
          );
        }
        return 0n;
      default:
        return 0n;
    }
  }
}

function undoOf(tid: number, pid = 10): ThreadUndo {
  return {
    pid,
    tid,
    options: 1n << 21n,
    calls: [ptraceCall(PTRACE.SETREGS, tid, 0n, Uint8Array.of(1, 2, 3, tid))],
  };
}

const ptraceName = (request: bigint | undefined) =>
  Object.entries(PTRACE).find(([, value]) => value === request)?.[0];

/** The calls in a readable form: ptrace requests by their names, with the thread; without what only takes time. */
function names(made: readonly Made[]): string[] {
  const silent = ["ppoll", "rt_sigprocmask", "setitimer", "timerfd_settime", "rt_sigtimedwait"];
  return made.filter(([name]) => !silent.includes(name)).map(([name, ...args]) =>
    name === "ptrace" ? `${ptraceName(args[0])} ${args[1]}` : `${name} ${args[0]}`
  );
}

/** The threads that are let go of, in their order. */
function released(made: readonly Made[]): string[] {
  const all = names(made).filter((name) => name.startsWith("DETACH"));
  return [...new Set(all.map((name) => name.slice("DETACH ".length)))];
}

const END = ["kill 77", "exit_group 0"];

Deno.test("an empty table has nothing undone", () => {
  assert.deepEqual(names(new Table().run()), END);
});

Deno.test("a guardian that cannot wait does nothing", () => {
  const table = new Table();
  table.notes.noteThreads([undoOf(10)]);
  const made = table.run([10], ([name]) => name === "ppoll" ? -12n : undefined);
  assert.deepEqual(names(made), END);
});

Deno.test("the rescue begins when the tool is dead, and whoever traces in its place is as well", () => {
  const table = new Table();
  table.notes.noteThreads([undoOf(10)]);
  const awaited = (waited: number) => {
    const fds: number[] = [];
    const made = table.run([10], ([name, poll]) => {
      if (name !== "ppoll") return undefined;
      fds.push(new DataView(table.at(poll as bigint, 4).slice().buffer).getInt32(0, true));
      return fds.length > waited ? -12n : undefined;
    });
    return { fds, made: names(made) };
  };
  assert.deepEqual(awaited(1), { fds: [FDS.tool, FDS.standIn], made: END });
  assert.ok(awaited(2).made.includes("SEIZE 10"));
});

Deno.test("noteThreads() puts back what waits, and lets go of all, after all have stopped", () => {
  const table = new Table();
  table.notes.noteThreads([undoOf(10), undoOf(11)]);
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

Deno.test("noteThreads() gives a thread the signal that it was about to take, and nothing else", () => {
  const table = new Table();
  table.notes.noteThreads([undoOf(10)]);
  const signalsOf = (status: readonly number[]) => {
    table.statuses.set(10, status);
    return table.run([10]).filter(([, request]) => request === PTRACE.DETACH).map((call) =>
      call[4]
    );
  };
  assert.deepEqual(signalsOf([0x7f, 19, 0, 0]), [19n, 0n]);
  // An event's number makes of it what is no signal: the kernel refuses it, and the second one lets go.
  assert.deepEqual(signalsOf(INTERRUPTED), [0x8005n, 0n]);
});

Deno.test("what is erased is passed by", () => {
  const table = new Table();
  const [noted] = table.notes.noteThreads([undoOf(10)]);
  table.notes.noteThreads([undoOf(11)]);
  noted?.erase();
  const made = names(table.run([10, 11]));
  assert.ok(!made.includes("SEIZE 10"));
  assert.ok(made.includes("SETREGS 11"));
});

Deno.test("noteCall() and noteMemory() undo what was done to a process, last first, before its threads go on", () => {
  const table = new Table();
  table.notes.noteThreads([undoOf(10)]);
  const memory = { pid: 10, tid: 10, address: 0x7000n, bytes: Uint8Array.of(9, 8, 7) };
  const noted = table.notes.noteMemory(memory);
  const call = { pid: 10, tid: 10, registers: new Registers().set("ax", 11n) };
  table.notes.noteCall(call);
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

  noted.erase();
  assert.ok(!names(table.run([10])).includes("process_vm_writev 10"));
  // A thread that the tool has put back already makes no call for anybody.
  assert.ok(!names(table.run()).includes("SYSCALL 10"));
});

Deno.test("noteChild() kills a child that memory of its parent tells of, and has that reap it", () => {
  const table = new Table();
  table.notes.noteThreads([undoOf(10)]);
  const noted = table.notes.noteChild({
    pid: 10,
    tid: 10,
    word: 0x7000n,
    registers: new Registers().set("ax", 61n),
  });
  /** @returns the calls made, and whom the thread reaps */
  const run = (id?: number) => {
    let reaped: bigint | undefined;
    const made = table.run([10], ([name, request, local, , registers]) => {
      if (name === "ptrace" && request === PTRACE.SETREGS) {
        const [word] = new BigUint64Array(
          table.at(registers as bigint + BigInt(REGISTER.di * 8), 8).slice().buffer,
        );
        reaped ??= word;
      }
      if (name !== "process_vm_readv") return undefined;
      if (id === undefined) return -14n;
      const [base = 0n] = new BigUint64Array(table.at(local as bigint, 8).slice().buffer);
      table.at(base, 4).set(new Uint8Array(Int32Array.of(id).buffer));
      return 4n;
    });
    return { made, reaped };
  };
  // What cannot be read is nobody's id, and above all not 0: that is the guardians' own group.
  const unknown = run();
  assert.ok(names(unknown.made).includes(`kill ${NO_CHILD}`));
  assert.equal(unknown.reaped, BigInt(NO_CHILD));
  const { made, reaped } = run(88);
  assert.deepEqual(names(made).slice(3), [
    ...["GETREGS 10", "process_vm_readv 10", "kill 88", "wait4 88"],
    ...["SETREGS 10", "SYSCALL 10", "wait4 10", "SYSCALL 10", "wait4 10"],
    ...["INTERRUPT 10", "CONT 10", "wait4 10"],
    ...["GETREGS 10", "SETREGS 10", "DETACH 10", "DETACH 10"],
    ...END,
  ]);
  assert.equal(reaped, 88n);
  // One that was born traced is the guardian's to reap before it is the thread's.
  table.traced = [88];
  const born = names(run(88).made);
  assert.equal(born.filter((name) => name === "wait4 88").length, 2);
  assert.ok(born.lastIndexOf("wait4 88") < born.indexOf("SYSCALL 10"));
  noted.erase();
  assert.ok(!names(run(88).made).includes("kill 88"));
});

Deno.test("blocks of what is erased are used again, and what was noted first is undone last", () => {
  const table = new Table();
  table.notes.noteThreads([undoOf(10)]);
  const memory = (address: bigint) =>
    table.notes.noteMemory({ pid: 10, tid: 10, address, bytes: Uint8Array.of(1) });
  const call = () => table.notes.noteCall({ pid: 10, tid: 10, registers: new Registers() });
  const undone = () =>
    table.run([10]).flatMap(([name, request, , , vector]): ("call" | number)[] => {
      if (name === "ptrace" && request === PTRACE.SYSCALL) return ["call"];
      if (name !== "process_vm_writev") return [];
      const [address] = new BigUint64Array(table.at(vector as bigint, 16).slice().buffer);
      return [Number(address)];
    }).filter((one, index, all) => one !== "call" || all[index - 1] !== "call");
  // As memory for programs is taken and given back, more often than the table has blocks.
  for (let round = 0; round < 100; round++) {
    const landing = memory(1n);
    const mapped = call();
    assert.deepEqual(undone(), ["call", 1]);
    landing.erase();
    assert.deepEqual(undone(), ["call"]);
    const again = memory(2n);
    assert.deepEqual(undone(), [2, "call"]);
    again.erase();
    again.erase();
    const other = memory(3n);
    mapped.erase();
    assert.deepEqual(undone(), [3]);
    other.erase();
    assert.deepEqual(undone(), []);
  }
});

Deno.test("erase() does not fail where nobody is left to be told", () => {
  let isThere = true;
  const notes = new RescueNotes(MARK, () => {
    if (!isThere) throw new StasisError("syscall", "nobody");
  });
  const noted = [
    notes.noteProcess(10),
    ...notes.noteThreads([undoOf(10)]),
    notes.noteMemory({ pid: 10, tid: 10, address: 0n, bytes: new Uint8Array(1) }),
    notes.noteCall({ pid: 10, tid: 10, registers: new Registers() }),
    notes.noteSignal(10, 10, Siginfo.make(60, -1, 0n)),
  ];
  isThere = false;
  for (const one of noted) one.erase();
  assert.throws(() => notes.noteProcess(20), { message: "nobody" });
});

Deno.test("stopTreeIf() leaves each process stopped that waits still, if the images are there", () => {
  const table = new Table();
  table.notes.noteThreads([undoOf(10), undoOf(11), undoOf(20, 20)]);
  const stops = (marked: readonly number[], isThere: boolean) => {
    const made = table.run(marked, ([name]) => name === "access" && !isThere ? -2n : undefined);
    return names(made).filter((name) => name.startsWith("kill") && !END.includes(name));
  };
  for (const pid of [10, 20]) table.notes.noteStop(pid, pid);
  assert.deepEqual(stops([10, 11, 20], true), [], "it is not decided yet");
  table.notes.stopTreeIf(new TextEncoder().encode("/images\0"));
  assert.deepEqual(stops([10, 11, 20], false), []);
  assert.deepEqual(stops([10, 11, 20], true).sort(), ["kill 10", "kill 20"]);
  // The tool has sent it to a process before it lets go of any thread.
  assert.deepEqual(stops([11, 20], true), ["kill 20"]);

  const made = table.run([10, 11, 20]);
  assert.ok(
    made.some(([name, path]) =>
      name === "access" && new TextDecoder().decode(table.at(path as bigint, 8)) === "/images\0"
    ),
  );
  assert.ok(
    made.every(([name, pid, signal]) =>
      name !== "kill" || pid === BigInt(SECOND) || signal === BigInt(SIG.STOP)
    ),
  );
  const order = names(made);
  const first = Math.min(...[10, 11].map((tid) => order.indexOf(`DETACH ${tid}`)));
  assert.ok(order.indexOf("kill 10") < first, "before it is let go of");
});

Deno.test("noteOutside() makes calls with the results of others, before threads go on and though none waits", () => {
  const table = new Table();
  table.notes.noteThreads([undoOf(10)]);
  const noted = table.notes.noteOutside({
    pid: 10,
    calls: [
      { name: "pidfd_open", args: [10n, 0n] },
      { name: "pidfd_getfd", args: [new Result(0), 5n, 0n] },
      {
        name: "setsockopt",
        args: [new Result(1), 6n, new Result(0), Uint8Array.of(7, 0, 0, 0), 4n],
      },
    ],
  });
  const made = table.run(
    [],
    ([name]) => name === "pidfd_open" ? 33n : name === "pidfd_getfd" ? 44n : undefined,
  );
  assert.deepEqual(names(made).slice(3, 7), [
    "pidfd_open 10",
    "pidfd_getfd 33",
    "setsockopt 44",
    "GETREGS 10",
  ]);
  const set = made.find(([name]) => name === "setsockopt") as Made;
  assert.deepEqual(set.slice(2, 4), [6n, 33n]);
  assert.deepEqual([...table.at(set[4] as bigint, 4)], [7, 0, 0, 0]);
  noted.erase();
  assert.ok(!names(table.run([])).includes("pidfd_open 10"));
});

Deno.test("noteEnd() makes calls before the tree is killed, and where it is rescued none", () => {
  const table = new Table();
  table.notes.noteProcess(10);
  table.notes.noteEnd([{ name: "setsockopt", args: [5n] }]);
  assert.ok(!names(table.run([])).includes("setsockopt 5"));
  table.notes.endTreeIf(new TextEncoder().encode("/images/inventory.img\0"));
  assert.deepEqual(names(table.run([])).slice(1), ["setsockopt 5", "kill 10", ...END]);
});

Deno.test("noteThreads() takes what a plugin noted: a request, and memory", () => {
  const table = new Table();
  const [noted] = table.notes.noteThreads([undoOf(10)]);
  noted?.change({
    ...undoOf(10),
    calls: [writeCall(10, 0x8000n, new Uint8Array(8)), ...undoOf(10).calls],
  });
  const made = names(table.run([10]));
  assert.deepEqual(made.slice(3, 6), ["GETREGS 10", "process_vm_writev 10", "SETREGS 10"]);
});

Deno.test("noteThreads() gives a thread that is halfway its mask, and changes no other one that runs its own code", () => {
  const table = new Table();
  const call = ptraceCall(PTRACE.SETSIGMASK, 10, 8n, Uint8Array.of(4));
  const { calls } = undoOf(10);
  table.notes.noteThreads([{
    ...undoOf(10),
    calls: [...calls, call],
    halfway: { mask: HALFWAY_MASK, call },
  }]);
  const end = ["DETACH 10", "DETACH 10", ...END];
  const waited = names(table.run([10])).slice(3);
  assert.deepEqual(waited, ["GETREGS 10", "SETREGS 10", "SETSIGMASK 10", ...end]);
  const halfway = names(table.run()).slice(3);
  assert.deepEqual(halfway, ["GETREGS 10", "GETSIGMASK 10", "SETSIGMASK 10", ...end]);
  table.mask = 0n;
  assert.deepEqual(names(table.run()).slice(3), ["GETREGS 10", "GETSIGMASK 10", ...end]);
});

/** Threads that have nothing to tell until the calls that were made satisfy a condition; those below 20 share a process. */
function slow(tid: number, isOver: (made: readonly Made[]) => boolean) {
  return ([name, first]: Made, made: readonly Made[]): bigint | undefined => {
    if (name === "wait4" && first === BigInt(tid) && !isOver(made)) return 0n;
    if (name === "rt_sigtimedwait") return -BigInt(11);
    return undefined;
  };
}

Deno.test("a process that does not come to stand still keeps no other one waiting", () => {
  for (const stuck of [10, 20]) {
    const table = new Table();
    for (const pid of [10, 20]) {
      table.notes.noteThreads([undoOf(pid, pid)]);
      table.notes.noteCall({ pid, tid: pid, registers: new Registers() });
    }
    const other = 30 - stuck;
    const made = table.run(
      [10, 20],
      slow(stuck, (made) => released(made).includes(String(other))),
    );
    assert.deepEqual(released(made), [String(other), String(stuck)]);
    // In the middle of a call, too.
    const called = (made: readonly Made[]) => names(made).includes(`SYSCALL ${stuck}`);
    const inCall = table.run(
      [10, 20],
      slow(stuck, (made) => !called(made) || released(made).includes(String(other))),
    );
    assert.deepEqual(released(inCall), [String(other), String(stuck)]);
    assert.equal(names(inCall).filter((name) => name === `SYSCALL ${stuck}`).length, 2);
  }
});

Deno.test("processes that stand still soon are let go of together", () => {
  const table = new Table();
  for (const pid of [10, 20]) table.notes.noteThreads([undoOf(pid, pid)]);
  const soon = (made: readonly Made[]) =>
    made.filter(([name]) => name === "rt_sigtimedwait").length > 1;
  const made = table.run([10, 20], (call, made) => {
    // The timer is not over.
    if (call[0] === "ppoll" && call[3] !== 0n) return 0n;
    return slow(10, soon)(call, made);
  });
  const lastWait = names(made).lastIndexOf("wait4 10");
  assert.ok(names(made).indexOf("DETACH 20") > lastWait);
});

Deno.test("threads that were killed are reaped while another one of their process is waited for", () => {
  const table = new Table();
  const noted = table.notes.noteThreads([10, 11, 12].map((tid) => undoOf(tid)));
  // More is to be undone than was noted at first.
  noted[1]?.change({
    ...undoOf(11),
    calls: [writeCall(10, 0x8000n, new Uint8Array(8)), ...undoOf(11).calls],
  });
  // execve(2) in 12 goes on, and the end of 10 is told, when 11 has been reaped.
  const reaped = (made: readonly Made[]) => names(made).includes("wait4 11");
  table.ended = [11];
  assert.deepEqual(released(table.run([10, 11, 12], slow(12, reaped))), ["12", "11", "10"]);
  // The stops of one that lives are left to who waits for them: its calls end by them.
  table.ended = [];
  const looked = (made: readonly Made[]) =>
    made.filter(([name, , tid]) => name === "waitid" && tid === 11n).length > 3;
  const made = table.run([10, 11, 12], slow(12, looked));
  const looking = made.findLastIndex(([name, , tid]) => name === "waitid" && tid === 11n);
  assert.equal(names(made.slice(0, looking)).includes("wait4 11"), false);
});

Deno.test("a thread that was put back and noted again is waited for once", () => {
  const table = new Table();
  const [noted] = table.notes.noteThreads([undoOf(10)]);
  noted?.erase();
  table.notes.noteThreads([undoOf(10)]);
  const made = table.run([10], ([name], made) =>
    // The kernel tells of a stop once.
    name === "wait4" && names(made).includes("wait4 10") ? 0n : undefined);
  assert.deepEqual(released(made), ["10"]);
});

Deno.test("PTRACE_SEIZE is made again where it was interrupted", () => {
  const table = new Table();
  table.notes.noteThreads([undoOf(10)]);
  const made = table.run(
    [10],
    ([, request], made) => request === PTRACE.SEIZE && made.length < 20 ? -4n : undefined,
  );
  assert.ok(names(made).filter((name) => name === "SEIZE 10").length > 2);
  assert.deepEqual(released(made), ["10"]);
});

Deno.test("noteSignal() has signals sent as they were, or as kill(2) may, in their order", () => {
  const table = new Table();
  table.notes.noteThreads([undoOf(10)]);
  const noted = [Siginfo.make(19, 0, 0n), Siginfo.make(60, -1, 0n), Siginfo.make(61, -6, 0n)]
    .map((info) => table.notes.noteSignal(10, 11, info));
  const sent = (made: readonly Made[]) =>
    made.filter(([name]) => ["rt_tgsigqueueinfo", "kill", "tgkill"].includes(name))
      .map(([name, ...args]) => `${name} ${name === "kill" ? args[1] : args[2]}`)
      .slice(0, -1);
  assert.deepEqual(sent(table.run()), [
    "rt_tgsigqueueinfo 19",
    "rt_tgsigqueueinfo 60",
    "rt_tgsigqueueinfo 61",
  ]);
  const refused = table.run([], ([name]) => name === "rt_tgsigqueueinfo" ? -1n : undefined);
  assert.deepEqual(sent(refused), [
    ...["rt_tgsigqueueinfo 19", "kill 19", "rt_tgsigqueueinfo 60", "tgkill 60"],
    ...["rt_tgsigqueueinfo 61", "tgkill 61"],
  ]);
  noted[1]?.erase();
  assert.deepEqual(sent(table.run()), ["rt_tgsigqueueinfo 19", "rt_tgsigqueueinfo 61"]);
  // They are sent while the threads stand still.
  assert.ok(
    names(table.run()).indexOf("rt_tgsigqueueinfo 10") < names(table.run()).indexOf("DETACH 10"),
  );
});

Deno.test("noteSignal() has a stop signal stay away where a SIGCONT has come after it", () => {
  const table = new Table();
  table.notes.noteSignal(10, 11, Siginfo.make(SIG.STOP, 0, 0n));
  table.notes.noteSignal(10, 11, Siginfo.make(60, -1, 0n));
  table.waiting = [SIG.URG, SIG.CONT];
  const made = table.run().filter(([name]) => name === "rt_tgsigqueueinfo");
  assert.deepEqual(made.map((call) => call[3]), [60n]);
});

Deno.test("endTreeIf() has the tree killed where its images are there, and rescued where not", () => {
  const table = new Table();
  table.notes.noteProcess(10);
  table.notes.noteThreads([undoOf(10)]);
  const path = new TextEncoder().encode("/images/inventory.img\0");
  table.notes.endTreeIf(path);
  const made = table.run([10]);
  assert.deepEqual(names(made).slice(1), ["kill 10", ...END]);
  const [, asked] = made.find(([name]) => name === "access") as Made;
  assert.deepEqual([...table.at(asked as bigint, path.length)], [...path]);
  const rescued = table.run([10], ([name]) => name === "access" ? -2n : undefined);
  assert.ok(names(rescued).includes("SETREGS 10"));
});

Deno.test("the second guardian kills the tree where the first one has died before its work", () => {
  const table = new Table();
  table.notes.noteProcess(10);
  const noted = table.notes.noteProcess(20);
  table.notes.noteProcess(30);
  noted.erase();
  const made = table.run([10], undefined, ENTRY_POINTS.second);
  assert.equal(made.filter(([name]) => name === "ppoll").length, 2);
  assert.deepEqual(names(made), ["kill 30", "kill 10", ...END]);
});
