import { equal, throws } from "@std/assert";
import { PidFile } from "./pid_file.ts";

/** Where to make one. */
function place(): Disposable & { readonly path: string } {
  const home = Deno.makeTempDirSync({ prefix: "stasis-pid-file-" });
  return {
    path: `${home}/pid`,
    [Symbol.dispose]: () => Deno.removeSync(home, { recursive: true }),
  };
}

Deno.test("PidFile is there with its pid if it is kept, and else not", () => {
  using there = place();
  for (const isKept of [false, true]) {
    using file = new PidFile(there.path);
    file.write(4711);
    if (isKept) file.keep();
  }
  equal(Deno.readTextFileSync(there.path), "4711");
  throws(() => new PidFile(there.path), { code: "exists" });
  equal(Deno.readTextFileSync(there.path), "4711");
});

Deno.test("PidFile replaces an empty file that was left, and none that a restore holds", () => {
  using there = place();
  Deno.writeTextFileSync(there.path, "");
  {
    using first = new PidFile(there.path);
    throws(() => new PidFile(there.path), { code: "exists" });
    first.write(7);
    equal(Deno.readTextFileSync(there.path), "7");
  }
  // What an empty file stands for elsewhere is not known.
  Deno.symlinkSync("/dev/null", there.path);
  throws(() => new PidFile(there.path), { code: "exists" });
});

Deno.test("PidFile leaves alone what somebody has put in its place", () => {
  using there = place();
  {
    using file = new PidFile(there.path);
    file.write(7);
    Deno.removeSync(there.path);
  }
  {
    using _file = new PidFile(there.path);
    Deno.removeSync(there.path);
    Deno.writeTextFileSync(there.path, "mine");
  }
  equal(Deno.readTextFileSync(there.path), "mine");
});
