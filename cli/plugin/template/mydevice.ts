/**
 * A plugin to begin with: it saves descriptors of the device /dev/mydevice, which no built-in plugin knows. A program that
 * has one can be checkpointed with it:
 *
 *     stasis checkpoint PID -D saved --plugin mydevice.ts
 *     stasis restore saved --plugin mydevice.ts
 *
 * Change what is particular to your device: `isMine()`, `Saved`, what `collectTask()` asks the device, and what
 * `plan()` does with a new descriptor. docs/plugins.md describes every hook.
 *
 * @module
 */
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  defineRawImageKind,
  type Descriptor,
  fd_types,
  remapPath,
  type RestoreHooks,
  type RestoreSession,
} from "stasis";

const DEVICE = "/dev/mydevice";

/** The image of this plugin: any bytes. For protobuf messages as CRIU has them there is defineImageKind(). */
const IMAGE = defineRawImageKind({ name: "MYDEVICE", file: "mydevice.json" });

/** What is saved of one open file; descriptors that share it have one id. */
export interface Saved {
  readonly id: number;
  readonly path: string;
  /** O_* that it was opened with. */
  readonly flags: number;
}

// From include/uapi/asm-generic/fcntl.h and linux/fcntl.h.
const AT_FDCWD = -100;
const O_CLOEXEC = 0o2000000;

/** Whether a descriptor is this plugin's. Only one plugin may say yes to it. */
export function isMine({ link }: Pick<Descriptor, "link">): boolean {
  return link.kind === "path" && link.text === DEVICE;
}

/** The image's bytes. */
export function encode(saved: readonly Saved[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(saved));
}

/** What is in an image: it may be damaged, so look at everything before you believe it. @throws {RangeError} */
export function decode(bytes: Uint8Array): Saved[] {
  const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
  if (!Array.isArray(value)) throw new RangeError("the image is no list");
  return value.map(({ id, path, flags }) => {
    if (!Number.isInteger(id) || typeof path !== "string" || !Number.isInteger(flags)) {
      throw new RangeError("an entry is incomplete");
    }
    return { id, path, flags };
  });
}

/** The hooks of one checkpoint. What they remember from one to the next lives in here. */
function checkpoint(session: CheckpointSession): CheckpointHooks {
  const saved: Saved[] = [];
  return {
    // survey({ tasks, problem }) { ... }: report what cannot be saved, before anything is touched.

    // collectTask(task, program) { ... }: have the process itself make calls, such as ioctl(2) on its descriptor:
    //   const answer = program.output(8);
    //   const result = program.try("ioctl", fd, 0x1234, answer);
    //   return (reply) => { reply.result(result); reply.output(answer); };

    descriptors: [{
      kind: "mydevice",
      claims: isMine,
      // Once for each open file, while the tree stands still. `fd` is the same open file in this process.
      dump({ descriptor, id }) {
        // Nobody is to restore these images without this plugin.
        session.requirePlugin();
        const { info, link } = descriptor;
        saved.push({ id, path: link.text, flags: info.flags & ~O_CLOEXEC });
        return { type: fd_types.PLUGIN };
      },
    }],
    dumpTree() {
      if (saved.length > 0) session.writer.writeRaw(IMAGE, null, encode(saved));
    },
  };
}

/** The hooks of one restore. */
function restore(session: RestoreSession): RestoreHooks {
  const saved = new Map<number, Saved>();
  return {
    load({ problem }) {
      if (!session.images.has(IMAGE, null)) return;
      const file = session.images.pathOf(IMAGE, null);
      try {
        for (const one of decode(Deno.readFileSync(file))) saved.set(one.id, one);
      } catch (error) {
        problem({ what: `${file} is damaged: ${error}` });
      }
    },
    descriptors: [{
      kind: "mydevice",
      restores: ({ type, id }) => type === fd_types.PLUGIN && saved.has(id),
      // Adds calls to the program of the process that is built, and does nothing itself.
      plan({ file, program }) {
        const { path, flags } = saved.get(file.id)!;
        const here = remapPath(path, session.options);
        return program.call("openat", AT_FDCWD, here, flags | O_CLOEXEC, 0);
      },
    }],
  };
}

export default definePlugin({
  name: "mydevice",
  description: "descriptors of /dev/mydevice",
  images: [IMAGE],
  checkpoint,
  restore,
});
