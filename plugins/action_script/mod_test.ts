import { deepEqual, equal, notEqual, rejects } from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { actionScript, aroundCommands, scriptEnvironment } from "./mod.ts";

const operation = { pid: 7, directory: "/images", signal: new AbortController().signal };

Deno.test("scriptEnvironment() has CRIU's names", () => {
  deepEqual(scriptEnvironment({ action: "pre-restore", operation }), {
    CRTOOLS_SCRIPT_ACTION: "pre-restore",
    CRTOOLS_IMAGE_DIR: "/images",
    STASIS_STATUS: "0",
  });
  const failure = new StasisError("io", "x");
  const environment = scriptEnvironment({ action: "post-dump", operation, pid: 7, failure });
  equal(environment.CRTOOLS_INIT_PID, "7");
  equal(environment.STASIS_STATUS, "10");
});

Deno.test("aroundCommands() runs commands, also where all has failed", async () => {
  const file = Deno.makeTempFileSync({ prefix: "stasis-around-" });
  try {
    const word = (which: string) =>
      `echo ${which} $CRTOOLS_SCRIPT_ACTION $STASIS_STATUS >> ${file}`;
    const { around } = aroundCommands({ before: word("before"), after: word("after") });
    await around?.beforeCheckpoint?.(operation);
    await around?.afterCheckpoint?.(operation, undefined);
    await around?.beforeRestore?.(operation);
    await around?.afterRestore?.(operation, undefined, new StasisError("conflict", "x"));
    equal(
      Deno.readTextFileSync(file),
      "before pre-dump 0\nafter post-dump 0\nbefore pre-restore 0\nafter post-resume 9\n",
    );
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test("actionScript() fails the operation by another status than 0, and where there is no script", async () => {
  await rejects(
    async () => await actionScript("/bin/false").around?.beforeCheckpoint?.(operation),
    {
      code: "io",
      message: "/bin/false ended with status 1 at pre-dump",
    },
  );
  await rejects(async () => await actionScript("/no/script").around?.beforeRestore?.(operation), {
    code: "io",
  });
  await actionScript("/bin/true").around?.beforeRun?.(operation, 7);
  await actionScript("/bin/false").around?.afterCheckpoint?.(operation, new StasisError("io", "x"));
  notEqual(actionScript("/bin/true").name, actionScript("/bin/false").name);
});
