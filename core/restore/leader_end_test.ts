import { equal } from "@std/assert";
import type { core_entry } from "../../images/gen/thread_pb.ts";
import { SIG } from "../linux/signals.ts";
import { formatCall } from "../remote/format_call.ts";
import { leaderEnd } from "./leader_end.ts";

const CORE = {
  tc: { comm: "first" },
  threadCore: { creds: { uid: 1, euid: 2, suid: 3, gid: 4, egid: 5, sgid: 6 } },
} as core_entry;

function calls(status: number): string {
  return leaderEnd(CORE, status).calls.map((call) => formatCall(call)).join("\n");
}

Deno.test("leaderEnd() gives a thread its name and ids, and has it exit alone", () => {
  equal(
    calls(7 << 8),
    'prctl(PR_SET_NAME, "first", 0, 0, 0)\nsetresgid(4, 5, 6)\nsetresuid(1, 2, 3)\nexit(7)',
  );
});

Deno.test("leaderEnd() has a thread die of SIGSYS by its own call", () => {
  const lines = calls(SIG.SYS).split("\n").slice(3);
  equal(lines[1], "prctl(PR_SET_SECCOMP, 0x2, {a filter that kills the thread}, 0, 0)");
  equal(lines.at(-1), "exit(0)");
});
