import { deepEqual, equal } from "@std/assert";
import { parseFdLink } from "../linux/procfs/mod.ts";
import { isDeadEnd, isNamedExternal, OpenLinks, OutsideHolders } from "./outside_holders.ts";
import { Descriptor } from "./task.ts";

/** The number is that of who keeps it while the tree stands still. */
class InFlight extends Descriptor {
  override get isInFlight(): boolean {
    return true;
  }
}

Deno.test("isNamedExternal() and isDeadEnd() take fd[N] for no descriptor in flight", () => {
  const info = { pos: 0n, flags: 0, mountId: 1, locks: [], other: [] };
  const link = parseFdLink("pipe:[5]");
  for (const name of ["fd[3]", "pipe:[5]"]) {
    for (const Kind of [Descriptor, InFlight]) {
      const descriptor = new Kind(1, 3, link, info);
      const isNamed = name !== "fd[3]" || Kind === Descriptor;
      equal(isNamedExternal({ external: [name] }, descriptor), isNamed);
      equal(isDeadEnd({ deadEnds: [name] }, descriptor, false), isNamed);
    }
  }
});

Deno.test("OpenLinks tells OutsideHolders what they would find themselves, of the moment that it was first asked", async () => {
  const path = await Deno.makeTempFile({ prefix: "stasis-holders-" });
  try {
    const links = new OpenLinks();
    const found = (links?: OpenLinks) => {
      const holders = new OutsideHolders(links);
      holders.look([], [path]);
      return holders.behind(path);
    };
    {
      using _ = await Deno.open(path);
      deepEqual([found(), found(links)], [[Deno.pid], [Deno.pid]]);
    }
    deepEqual([found(), found(links)], [[], [Deno.pid]]);
  } finally {
    await Deno.remove(path);
  }
});
