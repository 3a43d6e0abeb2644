/**
 * The image of POSIX message queues.
 *
 * @module
 */
import { mqueue_entrySchema } from "../gen/mqueue_pb.ts";
import { defineImageKind } from "../kind.ts";

/** Queues with their messages and their open files. The magic reads `MQU1` in the file. */
export const MQUEUE = defineImageKind({
  name: "MQUEUE",
  file: "mqueue.img",
  magic: 0x3155514d,
  schema: mqueue_entrySchema,
  list: true,
});
