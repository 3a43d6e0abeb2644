/**
 * A Java virtual machine that computes, allocates and hands on without an end.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { Subject } from "../harness/subject.ts";

/** Whether there is one. */
export async function hasJava(): Promise<boolean> {
  return (await new Deno.Command("sh", { args: ["-c", "command -v java"] }).output()).success;
}

/** Starts it. */
export async function startJvm(): Promise<Subject> {
  const source = fileURLToPath(new URL("Busy.java", import.meta.url));
  // A heap of one size, all of it touched: what grows is not Java's. And no file that the next JVM deletes.
  const heap = ["-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch", "-XX:+PerfDisableSharedMem"];
  const jvm = await Subject.spawn("java", { args: [...heap, source] });
  await jvm.waitReady(60_000);
  return jvm;
}
