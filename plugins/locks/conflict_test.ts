import { equal } from "@std/assert";
import { parseLock } from "../../core/linux/procfs/mod.ts";
import { standsAgainst } from "./conflict.ts";
import { encodeLock } from "./lock.ts";

const line = (type: string, mode: string, range = "0 EOF") =>
  parseLock(`1: ${type} ${type === "LEASE" ? "ACTIVE" : "ADVISORY"} ${mode} 7 fe:00:9 ${range}`);

function against(wanted: ReturnType<typeof line>, held: ReturnType<typeof line>): boolean {
  return standsAgainst(encodeLock(wanted)!, held);
}

Deno.test("standsAgainst() lets readers be together, and nobody beside a writer", () => {
  for (const type of ["FLOCK", "POSIX", "OFDLCK", "LEASE"]) {
    equal(against(line(type, "READ"), line(type, "READ")), false, type);
    equal(against(line(type, "READ"), line(type, "WRITE")), true, type);
    equal(against(line(type, "WRITE"), line(type, "READ")), true, type);
  }
});

Deno.test("standsAgainst() knows that only those of fcntl(2) know each other", () => {
  equal(against(line("POSIX", "WRITE"), line("OFDLCK", "WRITE")), true);
  equal(against(line("OFDLCK", "WRITE"), line("POSIX", "WRITE")), true);
  equal(against(line("FLOCK", "WRITE"), line("POSIX", "WRITE")), false);
  equal(against(line("POSIX", "WRITE"), line("LEASE", "WRITE")), false);
});

Deno.test("standsAgainst() compares ranges", () => {
  const wanted = line("POSIX", "WRITE", "10 19");
  equal(against(wanted, line("POSIX", "WRITE", "0 9")), false);
  equal(against(wanted, line("POSIX", "WRITE", "0 10")), true);
  equal(against(wanted, line("POSIX", "WRITE", "19 EOF")), true);
  equal(against(wanted, line("POSIX", "WRITE", "20 EOF")), false);
  equal(against(line("POSIX", "WRITE", "5 EOF"), line("POSIX", "WRITE", "1000 1000")), true);
});

Deno.test("standsAgainst() does not count those who wait", () => {
  const waits = parseLock("1: -> FLOCK  ADVISORY  WRITE 7 fe:00:9 0 EOF");
  equal(against(line("FLOCK", "WRITE"), waits), false);
});
