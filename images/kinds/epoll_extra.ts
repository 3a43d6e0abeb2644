/**
 * The image of what epoll instances have that CRIU's cannot say.
 *
 * @module
 */
import { epoll_extra_entrySchema } from "../gen/event_files_pb.ts";
import { defineImageKind } from "../kind.ts";

/** What a watched file has beyond `eventpoll_tfd_entry`. The magic reads `EPX1` in the file. */
export const EPOLL_EXTRA = defineImageKind({
  name: "EPOLL_EXTRA",
  file: "epoll-extra.img",
  magic: 0x31585045,
  schema: epoll_extra_entrySchema,
  list: true,
});
