import assert from "@std/assert";
import { parseJunit } from "./junit.ts";

const SOURCE = `
Deno.test('a <b> & "q" > c', () => {});
Deno.test({ name: "ignored", ignore: true, fn() {} });
Deno.test("steps", async (t) => {
  await t.step("one", () => {});
  await t.step({ name: "two", ignore: true, fn() {} });
  await t.step("three", () => { throw new Error("no <x>"); });
});
Deno.test("fails", () => { throw new Error("bad & ugly\\nsecond line"); });
`;

Deno.test("parseJunit() reads what this Deno writes", async () => {
  const directory = await Deno.makeTempDir({ prefix: "stasis-junit-" });
  try {
    await Deno.writeTextFile(`${directory}/x_test.ts`, SOURCE);
    await new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-check", "--no-config", "--junit-path=report.xml", "x_test.ts"],
      cwd: directory,
      stdout: "null",
      stderr: "null",
    }).output();
    const report = await Deno.readTextFile(`${directory}/report.xml`);
    const cases = parseJunit(report);
    assert.deepEqual(
      cases.map(({ name, outcome }) => [name, outcome]).sort(),
      [
        ['a <b> & "q" > c', "passed"],
        ["fails", "failed"],
        ["ignored", "skipped"],
        ["steps > two", "skipped"],
        ["steps", "failed"],
      ],
    );
    assert.match(cases.find((one) => one.name === "fails")!.message, /bad & ugly/);
    assert.ok(cases.every((one) => one.file === "./x_test.ts"));
    assert.throws(() => parseJunit(report.slice(0, report.length / 2)), /cut short/);
    const contradictory = report.replace('tests="7"', 'tests="70"');
    assert.notEqual(contradictory, report);
    assert.throws(() => parseJunit(contradictory), /70 tests/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
