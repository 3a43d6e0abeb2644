/**
 * Whether CRIU's own tool reads what we write: `crit` of Debian's package `criu`, at the version that is
 * installed. Where there is none these tests are ignored.
 *
 * @module
 */

import { deepEqual, equal, ok } from "@std/assert";
import { type DescMessage, isFieldSet, type MessageShape } from "@bufbuild/protobuf";
import { imageFileName, type ImageKind } from "./kind.ts";
import { INVENTORY } from "./kinds/core.ts";
import { CRIU_KINDS } from "./all_kinds.ts";
import { sampleEntry, sampleId } from "./sample_messages.ts";
import { ImageWriter } from "./writer.ts";

const installed = hasCrit();
const ignore = !installed;
if (ignore) console.error("crit is not installed (apt-get install criu): its tests are IGNORED");

function hasCrit(): boolean {
  try {
    return new Deno.Command("crit", { args: ["--help"] }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Fields that came after CRIU 3.17, which its `crit` leaves out. */
const NEWER_THAN_3_17 = new Set([
  "inventory_entry.plugins_entry",
  "task_core_entry.membarrier_registration_mask",
  "task_core_entry.stop_signo",
  "cg_controller_entry.is_threaded",
  "thread_core_entry.cg_set",
  "creds_entry.cap_amb",
  "creds_entry.no_new_privs",
  "user_x86_xsave_entry.cet",
  "memfd_inode_entry.mode",
  "file_entry.pidfd",
  "inet_sk_entry.tcp_opts",
  "ip_opts_entry.pktinfo",
  "ip_opts_entry.tos",
  "ip_opts_entry.ttl",
]);

/** What follows the sample messages, as crit shows it. */
const EXTRAS: Readonly<Record<string, unknown>> = {
  PIPES_DATA: "aGVsbG8=\n",
  FIFO_DATA: "aGVsbG8=\n",
  SK_QUEUES: "aGVsbG8=\n",
  TCP_STREAM: { inq: "aGU=\n", outq: "bGxv\n" },
  GHOST_FILE: "aGVsbG9oZWxsbw==\n",
  IPCNS_SHM: "aGVsbG8=\n",
  IPCNS_SEM: [1, 2, 0x7fff],
  IPCNS_MSG: [{ mtype: 7, msize: 5 }, "aGVsbG8=\n"],
};

interface Shown {
  readonly magic: string;
  readonly entries: readonly Readonly<Record<string, unknown>>[];
}

async function crit(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("crit", { args }).output();
  ok(success, `crit ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** What `crit decode` shows of a message, and the fields that it does not know. */
function expected(
  schema: DescMessage,
  message: MessageShape<DescMessage>,
): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  const fields = message as unknown as Readonly<Record<string, unknown>>;
  for (const field of schema.fields) {
    // Fields of Stasis's own begin with 1000: CRIU passes them by.
    const isKnown = field.number < 1000 &&
      !NEWER_THAN_3_17.has(`${schema.typeName}.${field.name}`);
    if (!isKnown || !isFieldSet(message, field)) continue;
    const one = (value: unknown): unknown => {
      if (field.message !== undefined) {
        return expected(field.message, value as MessageShape<DescMessage>);
      }
      if (field.enum !== undefined) {
        return field.enum.values.find(({ number }) => number === value)?.name;
      }
      if (typeof value === "bigint") return Number(value); // the samples are below 2^53
      if (!(value instanceof Uint8Array)) return value;
      // Names of sockets are shown as text.
      if (field.name === "name") return new TextDecoder().decode(value);
      // Bytes are shown in base64 with a line end.
      return `${value.toBase64()}\n`;
    };
    const value = fields[field.localName];
    shown[field.name] = field.fieldKind === "list" ? (value as unknown[]).map(one) : one(value);
  }
  return shown;
}

/** Writes one image of every kind that CRIU has. */
async function writeAll(target: string): Promise<void> {
  await using writer = ImageWriter.create(target);
  for (const kind of CRIU_KINDS) {
    if (kind === INVENTORY) continue;
    const { message, extra } = sampleEntry(kind);
    if (kind.head !== undefined) {
      const entries = [{ vaddr: 4096n, nrPages: 3, flags: 4 }];
      writer.writePagemap(kind as ImageKind<DescMessage, never, true>, sampleId(kind) as never, {
        pagesId: 5,
        entries,
      });
    } else if (kind.list) {
      const list = kind as ImageKind<DescMessage, never, true>;
      writer.append(list, sampleId(kind) as never, message, extra);
      writer.append(list, sampleId(kind) as never, message, extra);
    } else {
      const single = kind as ImageKind<DescMessage, never, false>;
      writer.write(single, sampleId(kind) as never, message, extra);
    }
  }
  await writer.commit(sampleEntry(INVENTORY).message);
}

async function check(target: string, kind: ImageKind): Promise<void> {
  const file = imageFileName(kind, sampleId(kind));
  const shown = JSON.parse(await crit("decode", "-i", `${target}/${file}`)) as Shown;
  equal(shown.magic, kind.name, file);
  if (kind.head !== undefined) {
    deepEqual(shown.entries, [{ pages_id: 5 }, { vaddr: 4096, nr_pages: 3, flags: 4 }], file);
    return;
  }
  equal(shown.entries.length, kind.list ? 2 : 1, file);
  const { message } = sampleEntry(kind);
  for (const { extra, ...entry } of shown.entries) {
    deepEqual(extra, EXTRAS[kind.name], file);
    deepEqual(entry, expected(kind.schema, message), file);
  }
}

Deno.test({
  name: "crit decode shows every field of every image that ImageWriter writes",
  ignore,
  async fn() {
    const directory = Deno.makeTempDirSync({ prefix: "stasis-crit-" });
    try {
      const target = `${directory}/images`;
      await writeAll(target);
      const left = CRIU_KINDS.values();
      const worker = async () => {
        for (const kind of left) await check(target, kind);
      };
      await Promise.all([worker(), worker(), worker()]);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
});
