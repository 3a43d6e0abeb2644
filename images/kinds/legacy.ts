/**
 * Images that CRIU 4.2 no longer writes (their messages are in `core-*`, `mm-*` and `files.img` now) and that
 * `crit` still shows, and so does `inspect`.
 *
 * @module
 */

import { creds_entrySchema } from "../gen/creds_pb.ts";
import { eventfd_file_entrySchema } from "../gen/eventfd_pb.ts";
import { eventpoll_file_entrySchema, eventpoll_tfd_entrySchema } from "../gen/eventpoll_pb.ts";
import { ext_file_entrySchema } from "../gen/ext-file_pb.ts";
import { fifo_entrySchema } from "../gen/fifo_pb.ts";
import {
  fanotify_file_entrySchema,
  fanotify_mark_entrySchema,
  inotify_file_entrySchema,
  inotify_wd_entrySchema,
} from "../gen/fsnotify_pb.ts";
import { packet_sock_entrySchema } from "../gen/packet-sock_pb.ts";
import { pidfd_entrySchema } from "../gen/pidfd_pb.ts";
import { pipe_entrySchema } from "../gen/pipe_pb.ts";
import { reg_file_entrySchema } from "../gen/regfile_pb.ts";
import { rlimit_entrySchema } from "../gen/rlimit_pb.ts";
import { sa_entrySchema } from "../gen/sa_pb.ts";
import { siginfo_entrySchema } from "../gen/siginfo_pb.ts";
import { signalfd_entrySchema } from "../gen/signalfd_pb.ts";
import { inet_sk_entrySchema } from "../gen/sk-inet_pb.ts";
import { netlink_sk_entrySchema } from "../gen/sk-netlink_pb.ts";
import { unix_sk_entrySchema } from "../gen/sk-unix_pb.ts";
import { itimer_entrySchema, posix_timer_entrySchema } from "../gen/timer_pb.ts";
import { timerfd_entrySchema } from "../gen/timerfd_pb.ts";
import { tty_file_entrySchema } from "../gen/tty_pb.ts";
import { vma_entrySchema } from "../gen/vma_pb.ts";
import type { DescMessage } from "@bufbuild/protobuf";
import { defineImageKind, type ImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";

/** Credentials of a process, by pid. */
export const CREDS = defineImageKind({
  name: "CREDS",
  file: "creds-%u.img",
  magic: MAGICS.CREDS,
  schema: creds_entrySchema,
});

function list(name: keyof typeof MAGICS, file: string, schema: DescMessage): ImageKind {
  return defineImageKind({ name, file, magic: MAGICS[name], schema, list: true });
}

/** All of them. */
export const LEGACY_KINDS: readonly ImageKind[] = [
  CREDS,
  list("SIGACT", "sigacts-%u.img", sa_entrySchema),
  list("SIGNAL", "signal-s-%u.img", siginfo_entrySchema),
  list("SIGNAL", "signal-p-%u.img", siginfo_entrySchema),
  list("ITIMERS", "itimers-%u.img", itimer_entrySchema),
  list("POSIX_TIMERS", "posix-timers-%u.img", posix_timer_entrySchema),
  list("RLIMIT", "rlimit-%u.img", rlimit_entrySchema),
  list("VMAS", "vmas-%u.img", vma_entrySchema),
  list("REG_FILES", "reg-files.img", reg_file_entrySchema),
  list("EXT_FILES", "ext-files.img", ext_file_entrySchema),
  list("PIPES", "pipes.img", pipe_entrySchema),
  list("FIFO", "fifo.img", fifo_entrySchema),
  list("EVENTFD_FILE", "eventfd.img", eventfd_file_entrySchema),
  list("EVENTPOLL_FILE", "eventpoll.img", eventpoll_file_entrySchema),
  list("EVENTPOLL_TFD", "eventpoll-tfd.img", eventpoll_tfd_entrySchema),
  list("SIGNALFD", "signalfd.img", signalfd_entrySchema),
  list("TIMERFD", "timerfd.img", timerfd_entrySchema),
  list("INOTIFY_FILE", "inotify.img", inotify_file_entrySchema),
  list("INOTIFY_WD", "inotify-wd.img", inotify_wd_entrySchema),
  list("FANOTIFY_FILE", "fanotify.img", fanotify_file_entrySchema),
  list("FANOTIFY_MARK", "fanotify-mark.img", fanotify_mark_entrySchema),
  list("UNIXSK", "unixsk.img", unix_sk_entrySchema),
  list("INETSK", "inetsk.img", inet_sk_entrySchema),
  list("PACKETSK", "packetsk.img", packet_sock_entrySchema),
  list("NETLINK_SK", "netlinksk.img", netlink_sk_entrySchema),
  list("TTY_FILES", "tty.img", tty_file_entrySchema),
  list("PIDFD", "pidfd.img", pidfd_entrySchema),
];
