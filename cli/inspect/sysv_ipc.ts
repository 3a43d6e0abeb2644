/**
 * System V IPC objects of an image.
 *
 * @module
 */
import { type ipc_desc_entry, sysv_use_entry_kind_type } from "../../images/gen/sysv_ipc_pb.ts";
import {
  IPC_NAMESPACE,
  IPCNS_MSG,
  IPCNS_SEM,
  IPCNS_SHM,
  SYSV_USE,
} from "../../images/kinds/sysv_ipc.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { formatBytes, plural } from "../ui/units.ts";

/** One object. */
export interface SysvInfo {
  readonly kind: "shared memory" | "semaphores" | "message queue";
  readonly id: number;
  /** In hexadecimal; null of a private one. */
  readonly key: string | null;
  readonly uid: number;
  /** In octal. */
  readonly mode: string;
  /** Its size and what is in it. */
  readonly what: string;
}

/** All objects. @throws {StasisError} `bad-image` */
export function inspectSysv(images: ImageDirectory): SysvInfo[] {
  const segments = images.has(IPCNS_SHM, IPC_NAMESPACE)
    ? images.readList(IPCNS_SHM, IPC_NAMESPACE)
    : [];
  const sets = images.has(IPCNS_SEM, IPC_NAMESPACE)
    ? images.readEntries(IPCNS_SEM, IPC_NAMESPACE)
    : [];
  const queues = images.has(IPCNS_MSG, IPC_NAMESPACE)
    ? images.readList(IPCNS_MSG, IPC_NAMESPACE)
    : [];
  const undone = new Map(
    (images.has(SYSV_USE, null) ? images.readList(SYSV_USE, null) : [])
      .filter(({ kind }) => kind === sysv_use_entry_kind_type.SEM)
      .map(({ id, undo }) => [id, undo]),
  );
  return [
    ...segments.map(({ desc, size }) => describe("shared memory", desc, formatBytes(size))),
    ...sets.map(({ message: { desc, nsems }, extra }) => {
      const bytes = (extra ?? new Uint8Array()).slice();
      const values = new Uint16Array(bytes.buffer, 0, Math.min(nsems, SHOWN)).join(" ");
      const undo = (undone.get(desc?.id ?? 0) ?? []).map(({ pid, num, adjustment }) =>
        `; ${pid} gives back ${adjustment} of ${num}`
      );
      const rest = nsems > SHOWN ? " ..." : "";
      return describe("semaphores", desc, `${nsems}: ${values}${rest}${undo.join("")}`);
    }),
    ...queues.map(({ desc, qnum }) => describe("message queue", desc, plural(qnum, "message"))),
  ];
}

/** So many values of a set are shown. */
const SHOWN = 16;

function describe(
  kind: SysvInfo["kind"],
  desc: ipc_desc_entry | undefined,
  what: string,
): SysvInfo {
  const { id = 0, key = 0, uid = 0, mode = 0 } = desc ?? {};
  return {
    kind,
    id,
    key: key === 0 ? null : `0x${key.toString(16)}`,
    uid,
    mode: mode.toString(8).padStart(4, "0"),
    what,
  };
}
