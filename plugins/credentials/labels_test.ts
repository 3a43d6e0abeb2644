import { deepEqual } from "@std/assert";
import { type LabelReader, surveyLabels } from "./labels.ts";

const TOOL = 1;

function problems(labels: Readonly<Record<string, string>>, frozen = false): string[] {
  const found: string[] = [];
  const read: LabelReader = (file, pid, tid) => labels[`${file} ${tid ?? pid}`] ?? "";
  const tasks = [{ pid: 5, threads: [5, 6] }];
  surveyLabels(
    { tasks, frozen, problem: ({ tid, what }) => void found.push(`${tid ?? ""}: ${what}`) },
    TOOL,
    read,
  );
  return found;
}

Deno.test("surveyLabels() has nothing to say where there are no labels, or all are the tool's", () => {
  deepEqual(problems({}), []);
  deepEqual(problems({ "current 1": "unconfined", "current 5": "unconfined" }), []);
});

Deno.test("surveyLabels() reports a task of another label, and threads that differ from it", () => {
  const labels = { "current 1": "unconfined", "current 5": "httpd", "current 6": "httpd//hat" };
  const task = ': its security label "httpd" is not the one of this tool, "unconfined"';
  deepEqual(problems(labels), [task, '6: it has the security label "httpd//hat" of its own']);
  deepEqual(problems(labels, true), [task]);
});

Deno.test("surveyLabels() reports labels for what a task makes", () => {
  const labels = { "current 1": "a", "current 5": "a", "fscreate 5": "b" };
  deepEqual(problems(labels), [
    ': it asks for the security label "b" for files that it makes (attr/fscreate)',
  ]);
});
