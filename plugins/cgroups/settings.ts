/**
 * The settings of control groups: which files of a group's directory are saved, and how one is written to. Pure.
 *
 * Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/. What a group counts, its pressure and
 * its statistics are nobody's to set. `cgroup.freeze` and `freezer.state` are not restored: tasks in a frozen group
 * are not saved, and could not be brought back into one; nor is `memory.kmem.limit_in_bytes`, which kernels of today do
 * not take any more. What is not in the table is written to no group: some files do something when they are written to
 * (`cgroup.kill`, `memory.reclaim`, `cgroup.event_control`), and `release_agent` names a program that root runs.
 *
 * @module
 */

/** How a setting is written. */
type Form =
  /** As it was read, at once. */
  | "whole"
  /** One write(2) for each line. */
  | "lines"
  /** Its first word: what follows says what came of it. */
  | "word"
  /** As it was read, but for 0, which is read of an idle group and cannot be written. */
  | "weight"
  /** For its owner and permissions alone. */
  | "permissions"
  | "type"
  | "subtree"
  | "devices"
  | "priorities";

interface Setting {
  readonly name: RegExp;
  /** What a new group has; undefined where that depends on the group that it is in. */
  readonly initial: string | undefined;
  readonly form: Form;
}

function setting(name: string, initial?: string, form: Form = "whole"): Setting {
  const pattern = name.replaceAll(".", "\\.").replaceAll("*", "[\\w.]+");
  return { name: new RegExp(`^${pattern}$`), initial, form };
}

/** What memory of cgroup v1 has where it has no limit: the greatest number of whole pages (PAGE_COUNTER_MAX). */
const NO_LIMIT = "9223372036854771712";

/** All that are saved, in the order in which they are set. */
const SETTINGS: readonly Setting[] = [
  setting("cgroup.type", "domain", "type"),
  setting("cgroup.clone_children"),
  setting("notify_on_release"),
  // cgroup v1 takes no task into a group without these.
  setting("cpuset.cpus", ""),
  setting("cpuset.mems", ""),
  setting("cpuset.cpus.exclusive", ""),
  // `root invalid (Parent is not a partition root)`
  setting("cpuset.cpus.partition", "member", "word"),
  setting("cpuset.cpu_exclusive", "0"),
  setting("cpuset.mem_exclusive", "0"),
  setting("cpuset.mem_hardwall", "0"),
  setting("cpuset.memory_migrate", "0"),
  setting("cpuset.memory_spread_page"),
  setting("cpuset.memory_spread_slab"),
  setting("cpuset.sched_load_balance", "1"),
  setting("cpuset.sched_relax_domain_level", "-1"),
  // An idle group takes neither: with cgroup v2 it has a weight of 0, which no other takes; with v1 shares as others.
  setting("cpu.shares", "1024"),
  setting("cpu.idle", "0"),
  setting("cpu.weight", "100", "weight"),
  setting("cpu.max", "max 100000"),
  setting("cpu.max.burst", "0"),
  setting("cpu.cfs_period_us", "100000"),
  setting("cpu.cfs_quota_us", "-1"),
  setting("cpu.cfs_burst_us", "0"),
  setting("cpu.rt_period_us", "1000000"),
  setting("cpu.rt_runtime_us", "0"),
  setting("cpu.uclamp.min", "0.00"),
  setting("cpu.uclamp.max", "max"),
  setting("memory.use_hierarchy", "1"),
  setting("memory.min", "0"),
  setting("memory.low", "0"),
  setting("memory.high", "max"),
  setting("memory.max", "max"),
  setting("memory.swap.high", "max"),
  setting("memory.swap.max", "max"),
  setting("memory.zswap.max", "max"),
  setting("memory.zswap.writeback", "1"),
  setting("memory.oom.group", "0"),
  setting("memory.limit_in_bytes", NO_LIMIT),
  // Not below the limit without swap.
  setting("memory.memsw.limit_in_bytes", NO_LIMIT),
  setting("memory.soft_limit_in_bytes", NO_LIMIT),
  setting("memory.kmem.tcp.limit_in_bytes", NO_LIMIT),
  setting("memory.swappiness"),
  setting("memory.oom_control"),
  setting("memory.move_charge_at_immigrate", "0"),
  setting("io.weight", "default 100", "lines"),
  setting("io.bfq.weight", "default 100", "lines"),
  setting("io.max", "", "lines"),
  setting("io.latency", "", "lines"),
  setting("io.prio.class", "no-change"),
  setting("blkio.weight", "500"),
  setting("blkio.bfq.weight", "100"),
  setting("blkio.throttle.*_device", "", "lines"),
  setting("blkio.prio.class", "no-change"),
  setting("pids.max", "max"),
  setting("rdma.max", "", "lines"),
  setting("dmem.*", undefined, "lines"),
  setting("misc.max", undefined, "lines"),
  setting("hugetlb.*.max", "max"),
  setting("hugetlb.*.limit_in_bytes"),
  setting("net_cls.classid", "0"),
  setting("net_prio.ifpriomap", undefined, "priorities"),
  setting("devices.list", "a *:* rwm", "devices"),
  setting("cgroup.pressure", "1"),
  setting("cgroup.max.depth", "max"),
  setting("cgroup.max.descendants", "max"),
  setting("cgroup.procs", "", "permissions"),
  setting("cgroup.threads", "", "permissions"),
  setting("tasks", "", "permissions"),
  setting("cgroup.subtree_control", "", "subtree"),
];

/** Whatever a pattern says: these only tell. */
const TELLING = /\.(current|events|stat|peak|capacity|failcnt|usage_in_bytes)$|events\.local$/;

function rankOf(name: string): number {
  return TELLING.test(name) ? -1 : SETTINGS.findIndex((one) => one.name.test(name));
}

/** Those of the files in a group's directory that are saved, in the order in which they are set. */
export function settingsAmong(names: Iterable<string>): string[] {
  return [...names].map((name) => ({ name, rank: rankOf(name) })).filter(({ rank }) => rank >= 0)
    .sort((a, b) => a.rank - b.rank).map(({ name }) => name);
}

/** Whether a setting of an image is one that is ever set. */
export function isSettable(name: string): boolean {
  return rankOf(name) >= 0;
}

/** Whether a setting is there for its owner and permissions alone: its contents are tasks. */
export function isForPermissions(name: string): boolean {
  return SETTINGS[rankOf(name)]?.form === "permissions";
}

/** What is saved of the contents of a file. */
export function savedValue(name: string, contents: string): string {
  // Beside the switch it tells of what goes on.
  if (name === "memory.oom_control") return /^oom_kill_disable (\d)/.exec(contents)?.[1] ?? "0";
  const value = contents.endsWith("\n") ? contents.slice(0, -1) : contents;
  return SETTINGS[rankOf(name)]?.form === "word" ? firstWord(value) : value;
}

function firstWord(text: string): string {
  return text.split(" ", 1)[0] as string;
}

/** The controller that a setting of cgroup v2 is of; undefined for those that every group has. */
export function controllerOf(name: string): string | undefined {
  const [first = "", ...rest] = name.split(".");
  return rest.length === 0 || first === "cgroup" ? undefined : first;
}

/** Whether a new group has it already. */
export function isInitial(name: string, value: string): boolean {
  return SETTINGS[rankOf(name)]?.initial === value || writesOf(name, value).length === 0;
}

/** One write to a file of a group. */
export interface SettingWrite {
  readonly file: string;
  readonly text: string;
}

/**
 * How a setting is set in a group that has it at its initial value.
 *
 * @param value as {@link savedValue}
 */
export function writesOf(name: string, value: string): SettingWrite[] {
  const write = (text: string, file = name): SettingWrite => ({ file, text });
  const lines = value.split("\n").filter(Boolean);
  switch (SETTINGS[rankOf(name)]?.form) {
    case undefined:
    case "permissions":
      return [];
    case "type":
      // All other types follow from it.
      return value === "threaded" ? [write(value)] : [];
    case "subtree": {
      const controllers = value.split(" ").filter(Boolean);
      return controllers.length === 0 ? [] : [write(controllers.map((one) => `+${one}`).join(" "))];
    }
    case "devices":
      // What the group that it is in allows is allowed from the beginning.
      return [
        write("a", "devices.deny"),
        ...lines.map((line) => write(line, "devices.allow")),
      ];
    case "priorities":
      return lines.filter((line) => !line.endsWith(" 0")).map((line) => write(line));
    case "lines":
      return lines.map((line) => write(line));
    case "word":
      return [write(firstWord(value))];
    case "weight":
      return value === "0" ? [] : [write(value)];
    case "whole":
      // A write of nothing clears a list of processors.
      return [write(value === "" ? "\n" : value)];
  }
}
