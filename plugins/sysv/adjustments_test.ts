import { equal } from "@std/assert";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { hasList } from "./adjustments.ts";

Deno.test("hasList() tells who can have adjustments of semaphores", async () => {
  await using child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  equal(hasList(child.pid), false);
  child.kill();
  await child.status;
  // Threads share one.
  const self = Number(syscall(SYSCALLS.gettid));
  const other = [...Deno.readDirSync("/proc/self/task")].find(({ name }) => Number(name) !== self);
  equal(hasList(Number(other?.name)), true);
});
