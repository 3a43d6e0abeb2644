import { deepEqual, throws } from "@std/assert";
import { chooseProcesses } from "./choose.ts";

const ALL = [
  { pid: 1, comm: "init", command: "/sbin/init" },
  { pid: 3, comm: "kperl", command: "", isKernel: true },
  { pid: 20, comm: "perl", command: "perl count.pl" },
  { pid: 21, comm: "sh", command: "sh -c perl" },
  { pid: 30, comm: "a+b", command: "" },
  { pid: 40, comm: "sudo", command: "sudo stasis ps perl", isCaller: true },
];
const chosen = (...words: string[]) =>
  chooseProcesses(ALL, words, (tid) => tid === 22 ? 20 : undefined).map(({ pid }) => pid);

Deno.test("chooseProcesses() takes ids, and expressions for names and command lines", () => {
  deepEqual(chosen(), [1, 20, 21, 30, 40]);
  deepEqual(chosen("perl"), [20, 21]);
  deepEqual(chosen("^perl", "1"), [1, 20]);
  deepEqual(chosen("a\\+b"), [30]);
  deepEqual(chosen("nothing"), []);
  deepEqual(chosen("3"), [3], "a thread of the kernel by its id alone");
  deepEqual(
    chosen("sudo", "stasis"),
    [40],
    "by its name, not by the words that this command has, too",
  );
});

Deno.test("chooseProcesses() refuses an id that nobody has, and what is no expression", () => {
  throws(() => chosen("2"), { code: "no-such-task", message: "there is no process 2" });
  throws(() => chosen("22"), { code: "unsupported", message: "22 is a thread of process 20" });
  throws(() => chosen("("), { code: "usage" });
  throws(() => chosen("0"), { code: "usage" });
  throws(() => chosen("99999999999999999999"), { code: "usage" });
});
