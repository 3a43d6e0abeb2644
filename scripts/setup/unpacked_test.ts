import { deepEqual } from "@std/assert";
import { locateProgram, unpackedPath } from "./unpacked.ts";

Deno.test("locateProgram() takes an unpacked program where there is none on the PATH", () => {
  const locate = (...files: string[]) =>
    locateProgram("nginx", ["/usr/sbin"], (file) => files.includes(file), "/cache");
  const plain = { program: "nginx", env: {} };
  deepEqual(locate("/usr/sbin/nginx", "/cache/usr/sbin/nginx"), plain);
  deepEqual(locate("/cache/usr/sbin/nginx"), {
    program: "/cache/usr/sbin/nginx",
    env: { LD_LIBRARY_PATH: "/cache/usr/lib/x86_64-linux-gnu" },
  });
  deepEqual(locate(), plain);
  deepEqual(unpackedPath("/cache"), ["/cache/usr/sbin", "/cache/usr/bin"]);
});
