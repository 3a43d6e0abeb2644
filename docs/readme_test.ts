/** What the README claims is there: tests, files, tasks, exit statuses. */

import assert from "@std/assert";
import config from "../deno.json" with { type: "json" };
import { exitStatuses } from "../cli/help.ts";

const ROOT = new URL("../", import.meta.url);
const DOCUMENTS = [
  "README.md",
  "CONTRIBUTING.md",
  "docs/plugins.md",
  "docs/scripting.md",
  "docs/images.md",
  "docs/json.md",
  "docs/kernel.md",
  "docs/looking.md",
  "docs/pids.md",
  "docs/seccomp.md",
  "docs/sockets.md",
  "docs/support.md",
  "docs/time.md",
];

const read = (path: string) => Deno.readTextFile(new URL(path, ROOT));

/** The rows of the table below a heading, cell by cell, without the head. */
function rows(text: string, heading: string): string[][] {
  const section = text.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

Deno.test("README: every row of what can be checkpointed names a live test", async () => {
  const table = rows(await read("README.md"), "What it can checkpoint");
  assert.ok(table.length > 10);
  for (const [what, saved, proof] of table) {
    const path = /^\[\w+_test\.ts\]\((tests\/live\/\w+_test\.ts)\)$/.exec(proof!)?.[1];
    if (path === undefined) throw new Error(`${what} has no proof`);
    const test = await read(path);
    assert.match(test, /Deno\.test\(/, path);
    if (saved === "no") {
      assert.match(test, /problem|refuse/i, `${path} shows that ${what} is refused`);
    } else {assert.match(
        test,
        /bringsBack|restore\(|killAndRestore|survives|runInterrupted/,
        `${path} restores ${what}`,
      );}
  }
});

Deno.test("README: the exit statuses are those of the errors", async () => {
  const table = rows(await read("README.md"), "Exit status");
  const expected = exitStatuses().map(([status, meaning]) => [String(status), meaning]);
  assert.deepEqual(table, [["0", "done"], ...expected]);
});

Deno.test("README: every dependency has a reason", async () => {
  const named = rows(await read("README.md"), "Dependencies")
    .flatMap(([names]) => [...names!.matchAll(/`([^`]+)`/g)].map(([, name]) => name)).sort();
  const used = Object.entries(config.imports)
    .filter(([name, target]) => target.startsWith("npm:") && !name.endsWith("/"))
    .map(([name]) => name).sort();
  assert.deepEqual(named, used);
});

Deno.test("documents: links lead to files, and tasks exist", async () => {
  for (const path of DOCUMENTS) {
    const text = await read(path);
    for (const [, target] of text.matchAll(/\]\(([^)#]+)\)/g)) {
      await Deno.stat(new URL(target!, new URL(path, ROOT))).catch(() => {
        throw new Error(`${path} leads to ${target}, which is not there`);
      });
    }
    for (const [, task] of text.matchAll(/(?:deno|deno@[\d.]+) task ([a-z][\w:]*)/g)) {
      assert.ok(task! in config.tasks, `${path} names the task ${task}`);
    }
  }
});
