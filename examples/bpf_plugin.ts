/**
 * A plugin of one's own, by docs/plugins.md: it saves BPF maps (bpf(2)) with what is in them, which the built-in plugins
 * refuse: hashes and arrays that no program of the kernel need have. They are made anew, so somebody else who has such a
 * map (another process, a BPF program, a file that it is pinned to) keeps the old one, and its id is another.
 *
 *     stasis checkpoint PID -D saved --plugin examples/bpf_plugin.ts
 *     stasis restore saved --plugin examples/bpf_plugin.ts
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
  type RestoreHooks,
  type RestoreSession,
} from "stasis";

/** The image of this plugin. */
const IMAGE = defineRawImageKind({ name: "BPF_MAPS", file: "bpf-maps.json" });

/** What `/proc/PID/fdinfo` tells of a map. */
interface MapShape {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
}

/** What is saved of one map. Bytes are in base64. */
interface SavedMap extends MapShape {
  /** The id of the open file in the images. */
  readonly id: number;
  readonly name: string;
  readonly count: number;
  readonly keys: string;
  readonly values: string;
}

// From include/uapi/linux/bpf.h: commands, types and flags.
const MAP_CREATE = 0, OBJ_GET_INFO_BY_FD = 15, MAP_LOOKUP_BATCH = 24, MAP_UPDATE_BATCH = 26;
const TYPES: Readonly<Record<number, string>> = { 1: "hash", 2: "array" };
const NO_PREALLOC = 1;
/** The sizes of `union bpf_attr` as far as a command has fields, and of the begin of `struct bpf_map_info`. */
const CREATE_SIZE = 48, INFO_SIZE = 16, BATCH_SIZE = 56, MAP_INFO_SIZE = 40;
const NAME_SIZE = 16;
/** All entries are read by one call into memory that the target lends. */
const MOST_BYTES = 1 << 20;
/** ENOENT: there is nothing behind what was read. */
const NO_MORE = -2n;

/** Whether a descriptor is a map. */
function isMap({ link }: Descriptor): boolean {
  return link.kind === "anon-inode" && link.path === "bpf-map";
}

/** Takes apart what stands in fdinfo beyond what all files have. */
function shapeOf({ info }: Descriptor): MapShape & { readonly frozen: boolean } {
  const fields = new Map(info.other.map((line) => line.split(/:\s*/) as [string, string]));
  const field = (name: string) => Number(fields.get(name));
  return {
    type: field("map_type"),
    keySize: field("key_size"),
    valueSize: field("value_size"),
    maxEntries: field("max_entries"),
    flags: field("map_flags"),
    frozen: field("frozen") === 1,
  };
}

/** Little-endian integers of 32 bits at their offsets. */
function words(size: number, at: Readonly<Record<number, number>>): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  for (const [offset, value] of Object.entries(at)) view.setUint32(Number(offset), value, true);
  return bytes;
}

function checkpoint(session: CheckpointSession): CheckpointHooks {
  /** What maps have, by process and descriptor. */
  const found = new Map<string, Pick<SavedMap, "name" | "count" | "keys" | "values">>();
  const saved: SavedMap[] = [];
  return {
    // The process asks its maps itself: one may be readable to nobody else.
    collectTask(task, program) {
      const questions = task.proc.descriptors.filter((one) => isMap(one) && !one.isInFlight)
        .map((descriptor) => {
          const { fd } = descriptor;
          const { keySize, valueSize, maxEntries } = shapeOf(descriptor);
          const info = program.output(MAP_INFO_SIZE);
          // Structures that have addresses in them: point() puts them there when it is known where all lies.
          const ask = program.data(words(INFO_SIZE, { 0: fd, 4: MAP_INFO_SIZE })).point(8, info);
          const named = program.try("bpf", OBJ_GET_INFO_BY_FD, ask, INFO_SIZE);
          const keys = program.output(keySize * maxEntries);
          const values = program.output(valueSize * maxEntries);
          // The call writes how many there were to where it was told how many there may be.
          const batch = program.output(words(BATCH_SIZE, { 32: maxEntries, 36: fd }))
            .point(8, program.output(keySize)).point(16, keys).point(24, values);
          const read = program.try("bpf", MAP_LOOKUP_BATCH, batch, BATCH_SIZE);
          return { descriptor, info, named, keys, values, batch, read };
        });
      return (reply) => {
        for (const { descriptor, info, named, keys, values, batch, read } of questions) {
          const { fd } = descriptor;
          const results = [reply.result(named), reply.result(read)];
          if (results[0] !== 0n || results[1] !== 0n && results[1] !== NO_MORE) {
            session.problem({
              pid: task.pid,
              what: `its descriptor ${fd} is a BPF map that it may not read itself: ${results}`,
            });
            continue;
          }
          const { keySize, valueSize } = shapeOf(descriptor);
          const bytes = reply.output(batch);
          const count = new DataView(bytes.buffer, bytes.byteOffset).getUint32(32, true);
          const name = new TextDecoder().decode(reply.output(info).subarray(24, 24 + NAME_SIZE));
          found.set(`${task.pid}/${fd}`, {
            name: name.replace(/\0.*$/s, ""),
            count,
            keys: reply.output(keys).slice(0, count * keySize).toBase64(),
            values: reply.output(values).slice(0, count * valueSize).toBase64(),
          });
        }
      };
    },
    descriptors: [{
      kind: "bpf-map",
      claims: isMap,
      survey(descriptor) {
        const { type, keySize, valueSize, maxEntries, flags, frozen } = shapeOf(descriptor);
        const why = !(type in TYPES)
          ? `of type ${type}`
          : (flags & ~NO_PREALLOC) !== 0 || frozen
          ? `with flags ${flags.toString(16)}${frozen ? ", frozen" : ""}`
          : (keySize + valueSize) * maxEntries > MOST_BYTES
          ? `for ${maxEntries} entries`
          : descriptor.isInFlight
          ? "in flight"
          : undefined;
        if (why === undefined) return undefined;
        return {
          what: `its descriptor ${descriptor.fd} is a BPF map ${why}, which cannot be saved`,
          hint: "have the program close it first",
        };
      },
      dump({ descriptor, task, id }) {
        session.requirePlugin(); // nobody restores these images without this plugin
        const { frozen: _, ...shape } = shapeOf(descriptor);
        const contents = found.get(`${task.pid}/${descriptor.fd}`);
        if (contents !== undefined) saved.push({ id, ...shape, ...contents });
        return { type: fd_types.PLUGIN };
      },
    }],
    dumpTree() {
      if (saved.length === 0) return;
      session.writer.writeRaw(IMAGE, null, new TextEncoder().encode(JSON.stringify(saved)));
    },
  };
}

/** What is in the image: it may be damaged. @throws {RangeError} */
function decode(text: string): SavedMap[] {
  const value: unknown = JSON.parse(text);
  if (!Array.isArray(value)) throw new RangeError("it is no list");
  for (
    const { id, type, keySize, valueSize, maxEntries, flags, name, count, keys, values } of value
  ) {
    const numbers = [id, type, keySize, valueSize, maxEntries, flags, count];
    const isWhole = numbers.every((one) => Number.isInteger(one) && one >= 0) &&
      typeof name === "string" && name.length < NAME_SIZE &&
      Uint8Array.fromBase64(keys).length === count * keySize &&
      Uint8Array.fromBase64(values).length === count * valueSize;
    if (!isWhole) throw new RangeError(`the map of the open file ${id} is incomplete`);
  }
  return value;
}

function restore(session: RestoreSession): RestoreHooks {
  const saved = new Map<number, SavedMap>();
  return {
    load({ problem }) {
      if (!session.images.has(IMAGE, null)) return;
      const path = session.images.pathOf(IMAGE, null);
      try {
        for (const one of decode(Deno.readTextFileSync(path))) saved.set(one.id, one);
      } catch (error) {
        problem({ what: `${path} is damaged: ${error}` });
      }
    },
    descriptors: [{
      kind: "bpf-map",
      restores: ({ type, id }) => type === fd_types.PLUGIN && saved.has(id),
      plan({ file, program }) {
        const { type, keySize, valueSize, maxEntries, flags, name } = saved.get(file.id)!;
        const attributes = words(CREATE_SIZE, {
          0: type,
          4: keySize,
          8: valueSize,
          12: maxEntries,
          16: flags,
        });
        new TextEncoder().encodeInto(name, attributes.subarray(28, 28 + NAME_SIZE - 1));
        return program.call("bpf", MAP_CREATE, program.data(attributes, name), CREATE_SIZE);
      },
      // The next call wants the descriptor's number in a structure: here it is known, while plan() only has a result.
      connect({ file, program, fd }) {
        const { count, keys, values } = saved.get(file.id)!;
        if (count === 0) return;
        const batch = program.data(words(BATCH_SIZE, { 32: count, 36: fd }))
          .point(16, program.data(Uint8Array.fromBase64(keys), "keys"))
          .point(24, program.data(Uint8Array.fromBase64(values), "values"));
        program.call("bpf", MAP_UPDATE_BATCH, batch, BATCH_SIZE);
      },
    }],
  };
}

export default definePlugin({
  name: "bpf-maps",
  description: "BPF maps with what is in them: hashes and arrays",
  images: [IMAGE],
  checkpoint,
  restore,
});
