import { deepEqual, rejects } from "@std/assert";
import { readJobOptions, wordsOf } from "./job_options.ts";

Deno.test("readJobOptions() has defaults, and refuses what makes no sense", async () => {
  deepEqual(await readJobOptions({ imagesDir: "d" }, ""), {
    directory: "d",
    every: 600_000,
    keep: 2,
    grace: 25_000,
    plugins: [],
  });
  for (const wrong of [{ every: "0" }, { every: "x" }, { keep: "0" }, { grace: "1d" }]) {
    await rejects(() => readJobOptions({ imagesDir: "d", ...wrong }, ""), { code: "usage" });
  }
  await rejects(() => readJobOptions({}, "stasis run"), { code: "usage", hint: "stasis run" });
});

Deno.test("wordsOf() writes options as they were given", () => {
  const options = {
    one: { flags: "-o, --one <x>", description: "" },
    two: { flags: "--two", description: "" },
    four: { flags: "--four", description: "" },
    three: { flags: "--three <x>", description: "", repeatable: true },
  } as const;
  deepEqual(
    wordsOf(options, { one: "a b", two: true, three: ["c", "d"], four: false, other: "e" }),
    [
      "--one=a b",
      "--two",
      "--no-four",
      "--three=c",
      "--three=d",
    ],
  );
});
