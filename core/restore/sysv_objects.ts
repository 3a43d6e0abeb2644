/**
 * System V IPC objects at restore. They are there still where only the tree was ended, and are gone after a reboot:
 * those are made anew under their ids.
 *
 * @module
 */
import { SYSV_KINDS, type SysvKind } from "../checkpoint/sysv_owners.ts";
import { O } from "../linux/fcntl.ts";
import { readBootId } from "../linux/clocks.ts";
import type { SysvObject } from "../linux/procfs/mod.ts";
import { IPC, msqidDs, semidDs, shmidDs, SYSV_PLACES } from "../linux/sysv_ipc.ts";
import type { LoadContext, TreePlanner } from "../plugin.ts";
import type { Argument, Call, CallResult } from "../remote/program.ts";
import type { ipc_desc_entry } from "../../images/gen/sysv_ipc_pb.ts";
import { CLOCKS } from "../../images/kinds/time.ts";
import type { ImageDirectory } from "../../images/mod.ts";

const AT_FDCWD = -100;
/** For setresuid(2): as it is. */
const SAME = -1;
const PERMISSIONS = 0o777;

/** The objects of one kind that this machine has. */
export class SysvHere<T extends SysvObject> {
  readonly #kind: SysvKind;
  readonly #isSameBoot: boolean;
  readonly #byId: ReadonlyMap<number, T>;
  readonly #byPlace: ReadonlyMap<number, T>;
  readonly #byKey: ReadonlyMap<number, T>;

  /** @param isSameBoot whether the images are of this boot ({@link isSameBoot}) */
  constructor(kind: SysvKind, all: readonly T[], isSameBoot: boolean) {
    this.#kind = kind;
    this.#isSameBoot = isSameBoot;
    this.#byId = new Map(all.map((one) => [one.id, one]));
    this.#byPlace = new Map(all.map((one) => [one.id % SYSV_PLACES, one]));
    this.#byKey = new Map(all.map((one) => [one.key, one]));
  }

  /**
   * Looks for an object of the images.
   *
   * @returns the object that is it, if it is there; reports others that are in its place
   */
  find(
    { id, key, cuid, cgid }: Pick<ipc_desc_entry, "id" | "key" | "cuid" | "cgid">,
    context: Pick<LoadContext, "problem">,
  ): T | undefined {
    const what = `the System V ${SYSV_KINDS[this.#kind]} ${id}`;
    const same = this.#byId.get(id);
    // Ids begin anew with each boot, and a private one has nothing else that tells it from a stranger's.
    const isKnown = this.#isSameBoot || key !== 0;
    if (same?.key === key && same.cuid === cuid && same.cgid === cgid && isKnown) return same;
    const place = same ?? this.#byPlace.get(id % SYSV_PLACES);
    const found = key === 0 ? undefined : this.#byKey.get(key);
    if (place !== undefined) {
      context.problem({
        what: `the place of ${what} is taken by another one, ${place.id}, which was made meanwhile`,
        hint: `remove that if nobody needs it (ipcrm), or restore in a new IPC namespace`,
      });
    } else if (found !== undefined) {
      context.problem({
        what: `the key 0x${
          key.toString(16)
        } of ${what} belongs to another one, ${found.id}, by now`,
        hint: `remove that if nobody needs it (ipcrm), or restore in a new IPC namespace`,
      });
    }
    return undefined;
  }
}

/** Whether images are of this boot, as far as they tell. */
export function isSameBoot(images: ImageDirectory): boolean {
  return images.has(CLOCKS, null) && images.read(CLOCKS, null).bootId === readBootId();
}

/** What is done by the kind. */
const CALLS = {
  shm: { get: "shmget", control: "shmctl", ds: shmidDs },
  sem: { get: "semget", control: "semctl", ds: semidDs },
  msg: { get: "msgget", control: "msgctl", ds: msqidDs },
} as const;

/**
 * Adds calls to the seed's program that make an object with its id, its maker and its owner.
 *
 * @param size what shmget(2) and semget(2) take between key and flags
 * @param flags more flags, of shmget(2)
 * @param explain says why it cannot be made
 */
export function planSysv(
  tree: TreePlanner,
  kind: SysvKind,
  desc: ipc_desc_entry,
  { size, flags: more = 0, explain }: {
    readonly size?: Argument;
    readonly flags?: number;
    readonly explain?: Call["explain"];
  } = {},
): void {
  const { seed } = tree;
  const { get } = CALLS[kind];
  // The kernel takes it for the next object alone (ipc_idr_alloc() of ipc/util.c).
  const text = new TextEncoder().encode(String(desc.id));
  const next = seed.call("openat", AT_FDCWD, `/proc/sys/kernel/${kind}_next_id`, O.WRONLY, 0);
  seed.expect(BigInt(text.length), "write", next, seed.data(text, `${desc.id}`), text.length);
  seed.call("close", next);
  const own = { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 };
  if (desc.cgid !== own.gid) seed.call("setresgid", SAME, desc.cgid, SAME);
  if (desc.cuid !== own.uid) seed.call("setresuid", SAME, desc.cuid, SAME);
  const flags = IPC.CREAT | IPC.EXCL | more | desc.mode & PERMISSIONS;
  const args = size === undefined ? [flags] : [size, flags];
  const made = seed.expectExplained(BigInt(desc.id), explain, get, desc.key, ...args);
  tree.outlives(made, ...removal(kind, made));
  if (desc.cuid !== own.uid) seed.call("setresuid", SAME, own.uid, SAME);
  if (desc.cgid !== own.gid) seed.call("setresgid", SAME, own.gid, SAME);
  if (desc.uid !== desc.cuid || desc.gid !== desc.cgid) planSysvOwner(tree, kind, desc);
}

/** Adds the call that gives shared memory or semaphores their owner and permissions. */
export function planSysvOwner(
  { seed }: TreePlanner,
  kind: SysvKind,
  { id, uid, gid, mode }: ipc_desc_entry,
): void {
  const bytes = CALLS[kind].ds.make({ uid, gid, mode: mode & PERMISSIONS });
  const set = seed.data(bytes, `uid ${uid}, gid ${gid}`);
  if (kind === "sem") seed.call("semctl", id, 0, IPC.SET, set);
  else seed.call(CALLS[kind].control, id, IPC.SET, set);
}

function removal(
  kind: SysvKind,
  made: CallResult,
): [name: "shmctl" | "semctl" | "msgctl", ...(number | CallResult)[]] {
  return kind === "sem" ? ["semctl", made, 0, IPC.RMID] : [CALLS[kind].control, made, IPC.RMID];
}
