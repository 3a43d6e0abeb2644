import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import type { ManageCgroups } from "../../core/plugin.ts";
import { core_entrySchema } from "../../images/gen/thread_pb.ts";
import { PlacedSets } from "./destinations.ts";
import type { Member } from "./membership.ts";

/** The set of the tool that made the images. */
const TOOL = 1;

/** Places sets of cgroup v2 for a tool that is in `/now`; the one that saved them was in `/then`. */
function placed(
  members: readonly Omit<Member, "hierarchy">[],
  { there = [], mode = "none" }: { there?: readonly string[]; mode?: ManageCgroups } = {},
): { sets: PlacedSets; lost: string[] } {
  const all = [{ path: "/then" }, ...members].map((one) => ({ hierarchy: "", ...one }));
  const lost: string[] = [];
  const sets = new PlacedSets(
    { sets: new Map(all.map((member, index) => [index + TOOL, [member]])), hierarchies: [] },
    {
      find: (_, path) => ({
        kind: there.includes(path) ? "here" : "gone",
        directory: `/cg${path}`,
        readOnly: false,
      }),
    },
    {
      mode,
      ownId: TOOL,
      ownNow: [{ hierarchy: "", path: "/now" }],
      rehearsal: true,
      file: "file",
      lost: (what) => lost.push(what),
    },
  );
  return { sets, lost };
}

const core = (cgSet: number) => create(core_entrySchema, { threadCore: { cgSet } });
const GONE = "the control group /then does not exist here";

Deno.test("PlacedSets tells of the tool's lost group where a thread was in it, and else not", () => {
  const { sets, lost } = placed([{ path: "/x" }], { there: ["/x"] });
  equal(sets.of(core(TOOL + 1)).get("")?.path, "/x");
  deepEqual(lost, []);
  equal(sets.of(core(TOOL)).size, 0);
  equal(sets.of(core(TOOL)).size, 0);
  deepEqual(lost, [GONE]);
});

Deno.test("PlacedSets has the namespace begin in this tool's group where the tool's was its root", () => {
  const { sets, lost } = placed([{ path: "/then", root: "/then" }]);
  deepEqual([...sets.rootsOf(core(TOOL + 1), () => false) ?? []], [["", "/now"]]);
  equal(sets.of(core(TOOL + 1)).size, 0);
  equal(sets.hasNamespace, true);
  deepEqual(lost, [GONE]);
});

Deno.test("PlacedSets has the namespace begin where it did if that is there, or is made", () => {
  const inner = [{ path: "/then/in", root: "/then" }];
  const there = placed(inner, { there: ["/then", "/then/in"] }).sets;
  deepEqual([...there.rootsOf(core(TOOL + 1), () => false) ?? []], [["", "/then"]]);
  const made = placed(inner, { mode: "soft" }).sets;
  deepEqual([...made.rootsOf(core(TOOL + 1), () => true) ?? []], [["", "/then"]]);
});

Deno.test("PlacedSets knows no roots of a tree in the tool's own namespace", () => {
  const { sets } = placed([{ path: "/x" }], { there: ["/x"] });
  equal(sets.rootsOf(core(TOOL + 1), () => false), undefined);
  equal(sets.hasNamespace, false);
});
