/**
 * Plugin `timerfd`: timers of timerfd_create(2).
 *
 * Saved: a `timerfd_entry` of `files.img`: clock, time that is left, interval, expirations that nobody has
 * read, status flags and flags of the last timerfd_settime(2).
 *
 * Restored: created with the other files, but armed in the connect stage, as late as descriptors can be
 * reached. Of a timer that counts from when it was set the time that is left is kept, as in CRIU: it does not
 * run while its program does not exist. One for a point in time keeps that point (`deadlines.img`), and is due at
 * once where it has passed. If its clock has begun anew since, or CRIU has made the images, it keeps
 * what was left, and is set to the clock's time when the images were loaded plus that. Either way it is armed with
 * TFD_TIMER_ABSTIME again (the kernel shows the flag, and TFD_TIMER_CANCEL_ON_SET needs it). The expirations come back by TFD_IOC_SET_TICKS (CONFIG_CHECKPOINT_RESTORE), after settime,
 * which clears them.
 *
 * @module
 */
import { claimsAnonymous } from "../../core/checkpoint/outside_holders.ts";
import { clockLead } from "../../core/linux/clocks.ts";
import { O } from "../../core/linux/fcntl.ts";
import { readClockOffsets } from "../../core/linux/procfs/mod.ts";
import { defineStruct } from "../../core/linux/struct.ts";
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { timerfd_entry } from "../../images/gen/event_files_pb.ts";
import { FILES } from "../../images/kinds/files.ts";
import { joinNanoseconds, splitNanoseconds } from "../../images/time.ts";
import { DEADLINES } from "../../images/kinds/time.ts";
import { uniqueById } from "../../images/unique.ts";
import { settledTimer } from "./clock.ts";

/** `include/uapi/linux/timerfd.h` */
const TFD_TIMER_ABSTIME = 1;
/** `_IOW('T', 0, __u64)` */
const TFD_IOC_SET_TICKS = 0x40085400;

/** `struct itimerspec` (`include/uapi/linux/time.h`). */
const Itimerspec = defineStruct("itimerspec", 32, {
  intervalSec: [0, "i64"],
  intervalNsec: [8, "i64"],
  valueSec: [16, "i64"],
  valueNsec: [24, "i64"],
});

/** The plugin. */
export const timerfd: Plugin = definePlugin({
  name: "timerfd",
  description: "timers of timerfd_create(2)",
  images: [DEADLINES],
  checkpoint: (session) => ({
    descriptors: [{
      kind: "timerfd",
      claims: claimsAnonymous(session.options, "timerfd"),
      dump({ descriptor, task, id, fown, fd }) {
        const { timer, now } = settledTimer(fd, descriptor.info);
        const left = timer === undefined
          ? 0n
          : joinNanoseconds(timer.value.seconds, BigInt(timer.value.nanoseconds));
        if (timer !== undefined && (timer.settimeFlags & TFD_TIMER_ABSTIME) !== 0 && left > 0n) {
          const own = readClockOffsets(Deno.pid);
          const lead = clockLead(timer.clockId, readClockOffsets(task.proc.liveTid), own);
          const deadline = now + lead + left;
          session.writer.append(DEADLINES, null, { id, deadline });
        }
        return {
          type: fd_types.TIMERFD,
          tfd: {
            id,
            flags: descriptor.info.flags & ~O.CLOEXEC,
            fown,
            clockid: timer?.clockId ?? 0,
            ticks: timer?.ticks ?? 0n,
            settimeFlags: timer?.settimeFlags ?? 0,
            vsec: timer?.value.seconds ?? 0n,
            vnsec: BigInt(timer?.value.nanoseconds ?? 0),
            isec: timer?.interval.seconds ?? 0n,
            insec: BigInt(timer?.interval.nanoseconds ?? 0),
          },
        };
      },
    }],
  }),
  restore: (session) => {
    const { images } = session;
    /** What the clocks of absolute timers say at the time of the load. */
    const clocks = new Map<number, bigint>();
    /** The points in time that still mean what they did, by the id in `files.img`. */
    const deadlines = new Map<number, bigint>();
    return {
      load() {
        if (!images.has(FILES, null)) return;
        const saved = images.has(DEADLINES, null) ? images.readList(DEADLINES, null) : [];
        const points = uniqueById(
          saved,
          ({ id }) => id,
          images.pathOf(DEADLINES, null),
          "file",
        );
        for (const { tfd } of images.readList(FILES, null)) {
          if (tfd === undefined || (tfd.settimeFlags & TFD_TIMER_ABSTIME) === 0) continue;
          clocks.set(tfd.clockid, session.clocks.now(tfd.clockid));
          const point = points.get(tfd.id)?.deadline;
          if (point !== undefined && session.clocks.goesOn(tfd.clockid)) {
            deadlines.set(tfd.id, point);
          }
        }
      },
      descriptors: [{
        kind: "timerfd",
        restores: (file) => file.type === fd_types.TIMERFD && file.tfd !== undefined,
        plan({ file, program }) {
          const { clockid, flags } = file.tfd as timerfd_entry;
          const nonblocking = flags & O.NONBLOCK;
          const fd = program.call("timerfd_create", clockid, O.CLOEXEC | nonblocking);
          planStatusFlags(program, fd, flags, nonblocking);
          return fd;
        },
        connect({ file, program, fd }) {
          const timer = file.tfd as timerfd_entry;
          const { ticks, settimeFlags } = timer;
          const spec = armedAt(timer, clocks.get(timer.clockid) ?? 0n, deadlines.get(timer.id));
          const isOff = spec.value === 0n && spec.interval === 0n && settimeFlags === 0;
          if (!isOff) {
            const value = splitNanoseconds(spec.value);
            const interval = splitNanoseconds(spec.interval);
            const bytes = Itimerspec.make({
              intervalSec: interval.sec,
              intervalNsec: interval.nsec,
              valueSec: value.sec,
              valueNsec: value.nsec,
            });
            const note = `in ${timer.vsec}.${String(timer.vnsec).padStart(9, "0")} s`;
            program.call("timerfd_settime", fd, settimeFlags, program.data(bytes, note), 0);
          }
          if (ticks > 0n) {
            const bytes = new Uint8Array(new BigUint64Array([ticks]).buffer);
            program.call("ioctl", fd, TFD_IOC_SET_TICKS, program.data(bytes, `${ticks}`));
          }
        },
      }],
    };
  },
});

/**
 * What timerfd_settime(2) takes to go on with a timer, in nanoseconds.
 *
 * @param now what its clock says; only looked at for absolute timers
 * @param deadline the point in time that an absolute timer was set to, if that is to be kept
 */
export function armedAt(
  timer: Pick<timerfd_entry, "vsec" | "vnsec" | "isec" | "insec" | "ticks" | "settimeFlags">,
  now: bigint,
  deadline?: bigint,
): { readonly value: bigint; readonly interval: bigint } {
  const interval = joinNanoseconds(timer.isec, timer.insec);
  let left = joinNanoseconds(timer.vsec, timer.vnsec);
  // CRIU saves a periodic timer that has expired as fdinfo shows it, with no time left: that would be off.
  if (left === 0n && timer.ticks > 0n) left = interval;
  const absolute = (timer.settimeFlags & TFD_TIMER_ABSTIME) !== 0;
  if (left === 0n || !absolute) return { value: left, interval };
  return { value: deadline ?? now + left, interval };
}
