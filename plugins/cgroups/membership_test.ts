import { deepEqual, equal } from "@std/assert";
import { MemberSets, membersOf, savedGroups } from "./membership.ts";

const OWN = "4:memory:/\n2:cpu,cpuacct:/\n0::/user.slice\n";
const none = () => undefined;

Deno.test("membersOf() is in the order of CRIU's images", () => {
  deepEqual(membersOf(OWN), [
    { hierarchy: "", path: "/user.slice" },
    { hierarchy: "cpu,cpuacct", path: "/" },
    { hierarchy: "memory", path: "/" },
  ]);
  deepEqual(membersOf(""), []);
});

Deno.test("MemberSets numbers equal sets once, the tool's own first", () => {
  const sets = new MemberSets(OWN, (members) => members);
  const job = OWN.replace("memory:/", "memory:/jobs");
  equal(sets.of(OWN).id, 1);
  equal(sets.of(job).id, 2);
  equal(sets.of(job).id, 2);
  equal(sets.of("0::/user.slice\n2:cpu,cpuacct:/\n4:memory:/\n").id, 1);
  deepEqual(sets.all.map(({ id }) => id), [1, 2]);
});

Deno.test("MemberSets tells sets of other namespaces from the tool's", () => {
  const root = "/user.slice";
  const sets = new MemberSets("0::/user.slice\n", (all) => all.map((one) => ({ ...one, root })));
  equal(sets.of("0::/user.slice\n").id, 2);
});

Deno.test("savedGroups() are those of the tree alone, the topmost of each hierarchy", () => {
  const sets = new MemberSets(OWN, (members) => members);
  sets.of("0::/user.slice\n2:cpu,cpuacct:/c\n4:memory:/a/b\n");
  sets.of("0::/user.slice/x\n2:cpu,cpuacct:/c\n4:memory:/a\n");
  deepEqual(
    [...savedGroups(sets.all, sets.own.members, none)],
    [["", ["/user.slice/x"]], ["cpu,cpuacct", ["/c"]], ["memory", ["/a"]]],
  );
});

Deno.test("savedGroups() leaves out what is outside of the tool's namespace", () => {
  const sets = new MemberSets("0::/\n", (members) => members);
  sets.of("0::/../x\n");
  deepEqual([...savedGroups(sets.all, sets.own.members, none)], [["", []]]);
});

Deno.test("savedGroups() begins where the user wants it, if that is above", () => {
  const sets = new MemberSets("0::/\n", (members) => members);
  sets.of("0::/jobs/7/a\n");
  const from = (root: string) => savedGroups(sets.all, sets.own.members, () => root).get("");
  deepEqual(from("/jobs"), ["/jobs"]);
  deepEqual(from("/other"), ["/jobs/7/a"]);
});
