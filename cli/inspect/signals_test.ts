import { deepEqual } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { sa_entrySchema, signal_queue_entrySchema } from "../../images/gen/signals_pb.ts";
import { thread_core_entrySchema } from "../../images/gen/thread_pb.ts";
import { Siginfo } from "../../core/linux/siginfo.ts";
import { describeActions, describeQueue, describeThreadSignals } from "./signals.ts";

const action = (sigaction: bigint, flags = 0n, mask = 0n) =>
  create(sa_entrySchema, { sigaction, flags, restorer: 0n, mask });

Deno.test("describeActions() names what is not the default, past the signals that nobody handles", () => {
  const entries = Array.from({ length: 62 }, () => action(0n));
  entries[0] = action(1n);
  entries[8] = action(0x4000n, 0x14000004n, 0x3n);
  deepEqual(describeActions(entries), [
    { signal: "SIGHUP", what: "ignored" },
    // SIGKILL, 9, has no entry.
    { signal: "SIGUSR1", what: "0x4000  SA_SIGINFO  SA_RESTART  blocks SIGHUP SIGINT" },
  ]);
});

Deno.test("describeQueue() keeps the order, and takes no more than is there", () => {
  const siginfo = (signal: number) => ({ siginfo: Siginfo.make(signal, 0, 0n).bytes });
  const signals = [siginfo(34), siginfo(10), { siginfo: new Uint8Array(3) }];
  deepEqual(describeQueue(create(signal_queue_entrySchema, { signals })), [
    "SIGRT2",
    "SIGUSR1",
    "cut short",
  ]);
  deepEqual(describeQueue(undefined), []);
});

Deno.test("describeThreadSignals() says nothing of what a thread does not have", () => {
  const none = { blocked: undefined, waiting: undefined, signalStack: undefined };
  const core = { futexRla: 0n, futexRlaLen: 0 };
  deepEqual(describeThreadSignals(create(thread_core_entrySchema, core)), none);
  const sas = { ssSp: 0x5000n, ssSize: 8192n, ssFlags: 0 };
  deepEqual(
    describeThreadSignals(create(thread_core_entrySchema, { ...core, sas, blkSigset: 2n })),
    {
      blocked: ["SIGINT"],
      waiting: undefined,
      signalStack: "0x5000, 8192 bytes",
    },
  );
  const off = { ...sas, ssFlags: 2 };
  deepEqual(describeThreadSignals(create(thread_core_entrySchema, { ...core, sas: off })), none);
});
