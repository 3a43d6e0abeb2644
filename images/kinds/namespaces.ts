/**
 * The images of namespaces, by the namespace's id, and of control groups.
 *
 * @module
 */

import { cgroup_entrySchema } from "../gen/cgroup_pb.ts";
import { mnt_entrySchema } from "../gen/mnt_pb.ts";
import { ns_file_entrySchema } from "../gen/ns_pb.ts";
import { pidns_entrySchema } from "../gen/pidns_pb.ts";
import { timens_entrySchema } from "../gen/timens_pb.ts";
import { userns_entrySchema } from "../gen/userns_pb.ts";
import { utsns_entrySchema } from "../gen/utsns_pb.ts";
import { defineImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";

/** Host and domain name. */
export const UTSNS = defineImageKind({
  name: "UTSNS",
  file: "utsns-%u.img",
  magic: MAGICS.UTSNS,
  schema: utsns_entrySchema,
});

/** Id maps. */
export const USERNS = defineImageKind({
  name: "USERNS",
  file: "userns-%u.img",
  magic: MAGICS.USERNS,
  schema: userns_entrySchema,
});

/** Clock offsets. */
export const TIMENS = defineImageKind({
  name: "TIMENS",
  file: "timens-%u.img",
  magic: MAGICS.TIMENS,
  schema: timens_entrySchema,
});

/** A pid namespace that comes from outside. */
export const PIDNS = defineImageKind({
  name: "PIDNS",
  file: "pidns-%u.img",
  magic: MAGICS.PIDNS,
  schema: pidns_entrySchema,
});

/** Mounts. */
export const MNTS = defineImageKind({
  name: "MNTS",
  file: "mountpoints-%u.img",
  magic: MAGICS.MNTS,
  schema: mnt_entrySchema,
  list: true,
});

/** Open namespace files (in `files.img` today; a file of their own in old images). */
export const NS_FILES = defineImageKind({
  name: "NS_FILES",
  file: "ns-files.img",
  magic: MAGICS.NS_FILES,
  schema: ns_file_entrySchema,
  list: true,
});

/** Control groups: which sets of them threads are in, and their properties. */
export const CGROUP = defineImageKind({
  name: "CGROUP",
  file: "cgroup.img",
  magic: MAGICS.CGROUP,
  schema: cgroup_entrySchema,
});
