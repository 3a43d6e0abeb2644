/**
 * Timers of a process in a few words. Pure.
 *
 * @module
 */
import type {
  itimer_entry,
  posix_timer_entry,
  task_timers_entry,
} from "../../images/gen/timers_pb.ts";
import { CLOCK } from "../../core/linux/clock_numbers.ts";
import { signalName } from "../../core/linux/signals.ts";
import { cpuClock } from "../../plugins/timers/clock.ts";
import { SIGEV } from "../../plugins/timers/encode.ts";

/** One line a timer: what it is, when it fires, what it does. */
export function describeTimers(timers: task_timers_entry | undefined): string[] {
  if (timers === undefined) return [];
  const { real, virt, prof, posix } = timers;
  return [
    ...interval("ITIMER_REAL", real),
    ...interval("ITIMER_VIRTUAL", virt),
    ...interval("ITIMER_PROF", prof),
    ...posix.map(posixTimer),
  ];
}

function interval(name: string, timer: itimer_entry | undefined): string[] {
  if (timer === undefined) return [];
  const { isec, iusec, vsec, vusec } = timer;
  const times = due(seconds(vsec, vusec * 1000n), seconds(isec, iusec * 1000n));
  return times === undefined ? [] : [`${name}  ${times}`];
}

function posixTimer(timer: posix_timer_entry): string {
  const { itId, isec, insec, vsec, vnsec, overrun } = timer;
  return [
    `timer ${itId}`,
    clockName(timer.clockId),
    due(seconds(vsec, vnsec), seconds(isec, insec)) ?? "off",
    notification(timer),
    ...overrun > 0 ? [`${overrun} overrun`] : [],
  ].join("  ");
}

function notification({ itSigevNotify, siSigno, notifyThreadId }: posix_timer_entry): string {
  if (itSigevNotify === SIGEV.NONE) return "tells nobody";
  const thread = itSigevNotify === SIGEV.THREAD_ID ? ` to thread ${notifyThreadId}` : "";
  return `sends ${signalName(siSigno)}${thread}`;
}

function clockName(id: number): string {
  const cpu = cpuClock(id);
  if (cpu !== undefined) return `CPU time of ${cpu.of} ${cpu.id === 0 ? "itself" : cpu.id}`;
  const name = Object.entries(CLOCK).find(([, number]) => number === id)?.[0];
  return name === undefined ? `clock ${id}` : `CLOCK_${name}`;
}

/** Undefined where it is off and has no interval. */
function due(left: string | undefined, every: string | undefined): string | undefined {
  const repeats = every === undefined ? "" : `, every ${every}`;
  if (left !== undefined) return `due in ${left}${repeats}`;
  return every === undefined ? undefined : `has fired${repeats}`;
}

/** Undefined of no time at all. */
function seconds(whole: bigint, nanoseconds: bigint): string | undefined {
  if (whole === 0n && nanoseconds === 0n) return undefined;
  return `${(Number(whole) + Number(nanoseconds) / 1e9).toFixed(3)} s`;
}
