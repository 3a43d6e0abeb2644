/**
 * What the machine did meanwhile: numbers of a busy one are not worth much.
 *
 * @module
 */

/** The machine at one moment. */
export interface MachineState {
  /** Processes that ran or wanted to, on average of the last minute. */
  readonly load: number;
  /** Ticks of all processors since the boot: in all, idle, and taken away by a hypervisor. */
  readonly ticks: { readonly all: number; readonly idle: number; readonly stolen: number };
}

/** The machine now (`/proc/loadavg`, `/proc/stat`). */
export function readMachineState(): MachineState {
  const load = Number(Deno.readTextFileSync("/proc/loadavg").split(" ")[0]);
  return { load, ticks: parseTicks(Deno.readTextFileSync("/proc/stat")) };
}

/**
 * The first line of `/proc/stat` (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal; what follows
 * is in user and nice already.
 */
export function parseTicks(stat: string): MachineState["ticks"] {
  const [, ...fields] = stat.split("\n")[0]!.split(/ +/).map(Number);
  const [user, nice, system, idle, iowait, irq, softirq, steal] = fields as [
    ...[number, number, number, number, number, number, number, number],
  ];
  const free = idle + iowait;
  return { all: user + nice + system + free + irq + softirq + steal, idle: free, stolen: steal };
}

/** What the machine did between two moments, a sentence, and a warning where it was not idle at the begin. */
export function machineNotes(
  before: MachineState,
  after: MachineState,
  processors: number,
): string[] {
  const all = Math.max(1, after.ticks.all - before.ticks.all);
  const percent = (ticks: number) => `${Math.round(100 * ticks / all)} %`;
  const notes = [
    `${processors} processors, load ${before.load.toFixed(2)} before and ${
      after.load.toFixed(2)
    } after; ` +
    `idle for ${percent(after.ticks.idle - before.ticks.idle)} of the time, ` +
    `taken away by a hypervisor for ${percent(after.ticks.stolen - before.ticks.stolen)}.`,
  ];
  if (before.load > processors / 4) {
    notes.push("WARNING: the machine was busy before: others' work is in these numbers.");
  }
  return notes;
}
