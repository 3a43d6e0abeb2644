/**
 * Which test files there are, and which step runs them.
 *
 * @module
 */

/** The steps that run test files. */
export type TestStep = "unit" | "live" | "vm";

/** Directories that hold no sources of ours. */
const IGNORED = new Set(["node_modules", "gen"]);

/**
 * The tests that boot a VM. Their names do not end with `_test.ts`, so that a plain `deno test` does not start
 * them by accident.
 */
const VM_DIRECTORY = "kernel/live/";
/** What makes a file there one of tests and not what they share. */
const HAS_TESTS = /^\s*Deno\.test\(/m;

/** The step that a test file belongs to, by its path from the checkout. */
export function stepOf(file: string): TestStep {
  if (file.startsWith(VM_DIRECTORY)) return "vm";
  return file.startsWith("tests/") ? "live" : "unit";
}

/**
 * The test files of a step, sorted, as paths from the checkout.
 *
 * @param root the checkout, ending with a slash
 */
export async function testFiles(root: string, step: TestStep): Promise<string[]> {
  const files = (await walk(root, "")).filter((path) => stepOf(path) === step).sort();
  if (step !== "vm") return files.filter((path) => path.endsWith("_test.ts"));
  const texts = await Promise.all(files.map((path) => Deno.readTextFile(root + path)));
  return files.filter((path, index) => path.endsWith(".ts") && HAS_TESTS.test(texts[index]!));
}

/** Every file of ours, as paths from the checkout. */
async function walk(root: string, directory: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(root + directory)) {
    const path = directory + entry.name;
    if (entry.isFile) files.push(path);
    else if (entry.isDirectory && !entry.name.startsWith(".") && !IGNORED.has(entry.name)) {
      files.push(...await walk(root, `${path}/`));
    }
  }
  return files;
}

/** A fenced block of TypeScript that `deno test --doc` would run; those marked `ignore` are none. */
const EXAMPLE = /^[ \t*]*```(?:ts|typescript)[ \t]*$/m;

/**
 * The files whose documentation has examples to run. Those of the public interface and of the guides show
 * the real thing, which needs root and live processes; all others are unit tests.
 *
 * @param root the checkout, ending with a slash
 */
export async function filesWithExamples(root: string, step: TestStep): Promise<string[]> {
  if (step === "vm") return [];
  const found: string[] = [];
  for (const path of await walk(root, "")) {
    if (!/\.(ts|md)$/.test(path) || path.endsWith("_test.ts") || path.startsWith("tests/")) {
      continue;
    }
    const isLive = path === "mod.ts" || path.endsWith(".md");
    if (isLive !== (step === "live")) continue;
    if (EXAMPLE.test(await Deno.readTextFile(root + path))) found.push(path);
  }
  return found.sort();
}

/**
 * Sorts the words after a step's name: those that name a file or directory choose files, one other may
 * follow, a filter of test names as `deno test --filter` takes it.
 *
 * @throws {RangeError} where there are two filters, or a path holds no test of the step
 */
export function chooseFiles(
  files: readonly string[],
  words: readonly string[],
): { readonly files: readonly string[]; readonly filter: string | undefined } {
  let filter: string | undefined;
  const paths: string[] = [];
  for (const word of words) {
    const path = word.replace(/^\.\//, "").replace(/\/$/, "");
    if (files.some((file) => file === path || file.startsWith(`${path}/`))) paths.push(path);
    else if (filter === undefined) filter = word;
    else throw new RangeError(`two filters: "${filter}" and "${word}"`);
  }
  const chosen = paths.length === 0
    ? files
    : files.filter((file) => paths.some((path) => file === path || file.startsWith(`${path}/`)));
  return { files: chosen, filter };
}
