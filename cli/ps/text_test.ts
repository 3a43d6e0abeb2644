import { deepEqual } from "@std/assert";
import { describeVerdicts } from "./text.ts";

const verdict = { pid: 10, comm: "one", tasks: 1, threads: 1, problems: [] };
const problem = (what: string, hint?: string) => ({ pid: 20, plugin: "core", what, hint });
const refused = {
  ...verdict,
  pid: 200,
  comm: "\x1b[2J",
  tasks: 3,
  problems: [problem("it is a 32-bit (compat) program"), problem("it is traced", "end the tracer")],
};

Deno.test("describeVerdicts() gives the first reason, and all of them when asked", () => {
  deepEqual(describeVerdicts([verdict, refused], { verbose: false, colour: false }), [
    " 10  one        1 process  yes",
    "200  \\x1b[2J  3 processes  no   20 core: it is a 32-bit (compat) program (and 1 other reason: -v)",
    "1 of 2 processes can be checkpointed",
  ]);
  deepEqual(describeVerdicts([refused], { verbose: true, colour: false }), [
    "200  \\x1b[2J  3 processes  no",
    "  - [20 core] it is a 32-bit (compat) program",
    "  - [20 core] it is traced",
    "    end the tracer",
    "0 of 1 process can be checkpointed",
  ]);
});
