import { deepEqual, throws } from "@std/assert";
import { jobEnvironment, requireProgram } from "./program.ts";

Deno.test("jobEnvironment() has what the user has, not what the launcher has set", () => {
  const own = { A: "1", DENO_DIR: "/lib" };
  deepEqual(jobEnvironment(own), own);
  deepEqual(jobEnvironment({ ...own, STASIS_DENO_DIR: "" }), { A: "1" });
  deepEqual(jobEnvironment({ ...own, STASIS_DENO_DIR: "/mine" }), { A: "1", DENO_DIR: "/mine" });
});

Deno.test("requireProgram() finds programs as a shell does", () => {
  requireProgram("sh");
  requireProgram("/bin/sh");
  for (const name of ["no-such-program", "/no/such/program", "/etc/passwd", "/tmp"]) {
    throws(() => requireProgram(name), { code: "usage" });
  }
});
