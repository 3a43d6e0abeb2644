/**
 * Tools that are killed while they write images: the next checkpoint beside deletes what they left, and says so; what
 * a living one writes stays.
 */
import assert from "@std/assert";
import { isPartialName } from "../../images/partial.ts";
import { checkpoint, type StasisEvent } from "../../mod.ts";
import { waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { ImageRoom } from "../harness/unharmed.ts";

/** A tool that waits for ever in the middle of a checkpoint, when a part of the images is written. */
const TOOL = `
import { checkpoint, definePlugin } from "${new URL("../../mod.ts", import.meta.url)}";
const [pid, directory] = Deno.args;
const plugin = definePlugin({
  name: "wait",
  description: "waits",
  checkpoint: () => ({ survey: ({ frozen }) => frozen ? undefined : new Promise(() => setInterval(() => {}, 1000)) }),
});
await checkpoint(Number(pid), { directory, plugins: [plugin], leaveRunning: true });
`;

/** Starts the tool; it has made its directory when this returns. */
async function startTool(room: ImageRoom, pid: number): Promise<Deno.ChildProcess> {
  const script = `${room.path}/tool.ts`;
  Deno.writeTextFileSync(script, TOOL);
  const before = partials(room).length;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const tool = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, script, String(pid), room.fresh()],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await waitUntil(() => partials(room).length > before, "the tool to begin", 60_000);
  return tool;
}

function partials(room: ImageRoom): string[] {
  return [...Deno.readDirSync(room.path)].map(({ name }) => name).filter(isPartialName);
}

Deno.test("checkpoint() deletes what killed tools have left beside it, and nothing of the living", async () => {
  using room = new ImageRoom();
  await using target = await Subject.start("sud_allow");
  await using subject = await Subject.start("sud_allow");
  const notes: string[] = [];
  const onEvent = (event: StasisEvent) => {
    if (event.kind === "note") notes.push(event.text);
  };
  const dead = await startTool(room, target.pid);
  const [left] = partials(room);
  const living = await startTool(room, target.pid);
  try {
    dead.kill("SIGKILL");
    await dead.status;
    const kept = partials(room).filter((name) => name !== left);
    assert.equal(kept.length, 1);
    await checkpoint(subject.pid, { directory: room.fresh(), leaveRunning: true, onEvent });
    assert.deepEqual(partials(room), kept);
    assert.deepEqual(notes, [
      `removed ${room.path}/${left}, which a checkpoint that was killed had left`,
    ]);
  } finally {
    living.kill("SIGKILL");
    await living.status;
  }
  await checkpoint(subject.pid, { directory: room.fresh(), leaveRunning: true, onEvent });
  assert.deepEqual(partials(room), []);
  assert.equal(notes.length, 2);
  await target.expectPass();
  await subject.expectPass();
});
