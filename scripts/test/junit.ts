/**
 * Reads the JUnit reports that `deno test --junit-path` writes: just what Deno puts into them.
 *
 * @module
 */

/** What became of a test. */
export type Outcome = "passed" | "failed" | "skipped";

/** One test of a report. */
export interface TestCase {
  /** As it stands in the source; a step is called `TEST > STEP`. */
  readonly name: string;
  /** The file, as Deno was told it. */
  readonly file: string;
  readonly outcome: Outcome;
  /** In seconds. */
  readonly time: number;
  /** The first line of what went wrong; empty if nothing did. */
  readonly message: string;
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
};

function unescape(text: string): string {
  return text.replace(/&(#x[0-9a-fA-F]+|#\d+|\w+);/g, (whole, name: string) => {
    if (name.startsWith("#x")) return String.fromCodePoint(parseInt(name.slice(2), 16));
    if (name.startsWith("#")) return String.fromCodePoint(Number(name.slice(1)));
    return ENTITIES[name] ?? whole;
  });
}

function attributes(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const match of text.matchAll(/([\w:-]+)="([^"]*)"/g)) found[match[1]!] = unescape(match[2]!);
  return found;
}

/**
 * Reads a report. Steps are left out, their tests speak for them; only a step that was skipped is told,
 * because its test counts as passed.
 *
 * @param xml the report
 * @throws {SyntaxError} where the report is not whole or contradicts its own sums
 */
export function parseJunit(xml: string): TestCase[] {
  if (!xml.trimEnd().endsWith("</testsuites>")) throw new SyntaxError("the report is cut short");
  const head = attributes(/<testsuites([^>]*)>/.exec(xml)?.[1] ?? "");
  const cases: TestCase[] = [];
  const pattern = /<testcase\s((?:[^">]|"[^"]*")*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;
  for (const [, opening, body = ""] of xml.matchAll(pattern)) {
    const { name = "", classname = "", time = "0" } = attributes(opening!);
    const bad = /<(?:failure|error)\b((?:[^">]|"[^"]*")*)>/.exec(body);
    cases.push({
      name,
      file: classname,
      outcome: bad ? "failed" : /<skipped\b/.test(body) ? "skipped" : "passed",
      time: Number(time),
      message: bad ? attributes(bad[1]!).message ?? "" : "",
    });
  }
  if (Number(head.tests) !== cases.length) {
    throw new SyntaxError(`the report tells of ${head.tests} tests and lists ${cases.length}`);
  }
  const names = new Set(cases.map((one) => `${one.file}\0${one.name}`));
  return cases.filter((one) => one.outcome === "skipped" || !isStep(one, names));
}

/** A test's name may hold " > " too: a step is what stands below another entry of its file. */
function isStep(one: TestCase, names: ReadonlySet<string>): boolean {
  for (let at = one.name.indexOf(" > "); at >= 0; at = one.name.indexOf(" > ", at + 1)) {
    if (names.has(`${one.file}\0${one.name.slice(0, at)}`)) return true;
  }
  return false;
}
