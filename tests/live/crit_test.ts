/**
 * CRIU's own decoder, `crit show` of Debian's criu package, reads every image that has a CRIU name.
 *
 * @module
 */
import assert from "@std/assert";
import { CRIU_KINDS } from "../../images/all_kinds.ts";
import { PAGEMAP } from "../../images/kinds/memory.ts";
import { checkpoint, openImages } from "../../mod.ts";
import { Subject } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { ImageHome } from "./round_trip.ts";

/** The images that CRIU has too; crit knows neither our own nor those without frames. */
const CRIU = CRIU_KINDS.map(({ file }) =>
  new RegExp(`^${file.replace(".", "\\.").replace(/%(u|x|lu)/, "[0-9a-f]+")}$`)
);

const hasCrit = (() => {
  try {
    return new Deno.Command("crit", { args: ["--help"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
})();

/** An image as crit decodes it. */
async function show(path: string): Promise<unknown> {
  const { success, stdout, stderr } = await new Deno.Command("crit", {
    args: ["show", path],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const errors = new TextDecoder().decode(stderr);
  assert.ok(success, `crit cannot decode ${path}: ${errors.slice(-500)}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** The images of a subject, each as crit decodes it; by file name. */
async function decode(name: string, args: readonly string[]): Promise<Map<string, unknown>> {
  using images = new ImageHome();
  await using subject = await Subject.start(name, { args });
  if (subject.unsupported !== null) throw new Error(subject.unsupported);
  await checkpoint(subject.pid, images);
  const decoded = new Map<string, unknown>();
  for (const file of openImages(images.directory).fileNames) {
    if (!CRIU.some((name) => name.test(file))) continue;
    decoded.set(file, await show(`${images.directory}/${file}`));
  }
  return decoded;
}

for (
  const [name, ...args] of [
    ["sud_threads", "4"],
    ["files_regular"],
    ["pipes"],
    ["fifo"],
    ["ghosts"],
    ["epoll"],
    ["locks"],
    ["inotify"],
    ["timer_posix"],
    ["sig_pending"],
    ["creds_caps", "threads"],
    ["mem_shared_anon_fork", "2"],
    ["mem_memfd"],
    ["tree_sessions"],
    ["unix_pairs", "seqpacket"],
    ["unix_options"],
    ["unix_service", "stream"],
    ["unix_datagrams"],
  ] as const
) {
  Deno.test({
    name: `crit show decodes every image of ${[name, ...args].join(" ")}`,
    ignore: !hasCrit,
    async fn() {
      const decoded = await decode(name, args);
      const kinds = [...decoded.keys()].map((file) => file.replace(/-\d+/, "")).sort();
      for (const kind of ["core.img", "files.img", "fs.img", "inventory.img", "mm.img"]) {
        assert.ok(kinds.includes(kind), `${kind} is missing among ${kinds}`);
      }
      const tree = decoded.get("pstree.img") as { magic: string; entries: { pid: number }[] };
      assert.equal(tree.magic, "PSTREE");
      assert.ok((tree.entries[0]?.pid ?? 0) > 0);
    },
  });
}

Deno.test({
  name: "crit show decodes pagemaps of which pages are in the checkpoint before",
  ignore: !hasCrit,
  async fn() {
    using images = new ImageHome();
    await using subject = await Subject.start("pages_changing", { args: ["64"] });
    const { directory } = images;
    const before = `${directory}-before`;
    await checkpoint(subject.pid, { directory: before, leaveRunning: true, options: UNHURRIED });
    await checkpoint(subject.pid, { directory, parent: before, options: UNHURRIED });
    const file = openImages(directory).pathOf(PAGEMAP, subject.pid);
    const { entries } = await show(file) as { entries: { flags?: string }[] };
    assert.ok(entries.some(({ flags }) => flags === "PE_PARENT"));
    assert.ok(entries.some(({ flags }) => flags === "PE_PRESENT"));
  },
});
