import { deepEqual } from "@std/assert";
import { generate, GENERATED_DIRECTORY } from "./generate.ts";

const ROOT = new URL("../", import.meta.url);

function contents(directory: string): Map<string, string> {
  const names = [...Deno.readDirSync(directory)].map((entry) => entry.name).sort();
  return new Map(names.map((name) => [name, Deno.readTextFileSync(`${directory}/${name}`)]));
}

Deno.test("generate() makes images/gen as it is committed", async () => {
  const out = Deno.makeTempDirSync({ prefix: "stasis-generate-" });
  try {
    await generate(out);
    deepEqual(contents(GENERATED_DIRECTORY), contents(out));
  } finally {
    Deno.removeSync(out, { recursive: true });
  }
});

Deno.test("deno.lock has nothing that only generate() needs: whoever installs Stasis downloads it", () => {
  const read = (name: string) => JSON.parse(Deno.readTextFileSync(new URL(name, ROOT)));
  const imports = Object.values<string>(read("deno.json").imports);
  const packages = imports.filter((one) => /^npm:[^/]/.test(one)).map((one) => one.slice(4));
  const { npm } = read("deno.lock");
  deepEqual(Object.keys(npm).sort(), packages.sort());
});
