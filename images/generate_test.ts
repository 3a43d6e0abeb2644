import { deepEqual } from "@std/assert";
import { generate, GENERATED_DIRECTORY } from "./generate.ts";

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
