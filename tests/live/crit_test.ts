/**
 * CRIU's own decoder, `crit show` of Debian's criu package, reads every image that has a CRIU name.
 *
 * @module
 */
import assert from "@std/assert";
import { CRIU_KINDS } from "../../images/all_kinds.ts";
import { checkpoint, openImages } from "../../mod.ts";
import { Subject } from "../harness/subject.ts";
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

/** The images of a subject, each as crit decodes it; by file name. */
async function decode(name: string, args: readonly string[]): Promise<Map<string, unknown>> {
  using images = new ImageHome();
  await using subject = await Subject.start(name, { args });
  if (subject.unsupported !== null) throw new Error(subject.unsupported);
  await checkpoint(subject.pid, images);
  const decoded = new Map<string, unknown>();
  for (const file of openImages(images.directory).fileNames) {
    if (!CRIU.some((name) => name.test(file))) continue;
    const output = await new Deno.Command("crit", {
      args: ["show", `${images.directory}/${file}`],
      stdout: "piped",
      stderr: "piped",
    }).output();
    const errors = new TextDecoder().decode(output.stderr);
    assert.ok(output.success, `crit cannot decode ${file} of ${name}: ${errors.slice(-500)}`);
    decoded.set(file, JSON.parse(new TextDecoder().decode(output.stdout)));
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
