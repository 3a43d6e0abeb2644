/**
 * `stasis restore`.
 *
 * @module
 */
import { EXIT_STATUS, StasisError } from "../base/errors.ts";
import type { EventListener } from "../base/events.ts";
import type { OperationOptions } from "../core/plugin.ts";
import type { Ending, RestoredTree } from "../core/restore/restore.ts";
import type { TerminalUse } from "../core/restore/shell_terminal.ts";
import { type Command, defineCommand } from "./command.ts";
import { toJson } from "../base/json.ts";
import { imagesIn } from "../jobs/latest.ts";
import {
  AROUND_OPTIONS,
  aroundPlugins,
  CGROUP_ROOT,
  CGROUP_YARD,
  either,
  FILE_VALIDATION,
  loadPlugins,
  MANAGE_CGROUPS,
  NETWORK_LOCK,
  parseCgroupRoots,
  parseFileValidation,
  parseInheritFds,
  parseManageCgroups,
  parseNetworkLock,
  parseRemaps,
  parseTimeNamespace,
  PLUGIN_OPTION,
  TIME_NAMESPACE_MODES,
} from "./options.ts";
import { Report, REPORT_OPTIONS } from "./report.ts";
import { print } from "./ui/print.ts";
import { plural } from "./ui/units.ts";

/** The exit status of a foreground restore: the root's own, or as shells have it for signals. */
export function statusOf(ending: Ending): number {
  return ending.signal === undefined ? ending.code ?? 0 : 128 + ending.signal;
}

function noTerminal(isForeground: boolean): StasisError {
  return isForeground
    ? new StasisError("usage", "there is no terminal in whose foreground this command is", {
      hint: "restore from a shell in a terminal, or without --shell-job",
    })
    : new StasisError("usage", "a tree that is not waited for cannot be the job of a shell", {
      hint: "leave --shell-job out, or --detach",
    });
}

function ownSession(): StasisError {
  return new StasisError("usage", "the tree leads a session of its own, and is no job of a shell", {
    hint: "restore it without --shell-job",
  });
}

/** The command. */
export const restore: Command = defineCommand({
  name: "restore",
  summary: "bring a process tree back from a directory",
  description:
    "Builds the process tree that a checkpoint has saved, under the same pids, and lets it run. Stays in the " +
    "foreground: hands on SIGHUP, SIGINT, SIGQUIT and SIGTERM to the tree's root and ends with its exit " +
    "status (128 + N if signal N killed it); with --detach it ends at once. Whatever fails, nothing is left. In a " +
    "terminal the tree is a job of the shell in this command's place: Ctrl-C and Ctrl-Z, fg and bg reach it.",
  argument: ["[dir]", "the image directory, or a store of a job, whose latest is taken"],
  options: {
    imagesDir: {
      flags: "-D, --images-dir <dir>",
      description: "the same, as an option (as CRIU has it)",
    },
    leaveStopped: {
      flags: "-s, --leave-stopped",
      description: "let the tree be stopped, as by SIGSTOP: SIGCONT makes it run",
    },
    pidfile: {
      flags: "--pidfile <file>",
      description: "write the pid of the root to a new file",
    },
    statusFd: {
      flags: "--status-fd <fd>",
      description: "write a byte of zero to this descriptor when the tree runs, and close it",
    },
    detach: { flags: "-d, --detach", description: "do not wait for the tree to end" },
    shellJob: {
      flags: "-j, --shell-job",
      description:
        "fail where there is no terminal to give to the tree (it always gets the one that this command has in the foreground)",
    },
    dryRun: {
      flags: "-n, --dry-run",
      description:
        "print what would be done, as strace does, and do nothing; ends with the status of the restore where that would be refused",
    },
    inheritFd: {
      flags: "--inherit-fd <fd[N]:resource>",
      description: "give the tree descriptor N of this command for a resource; repeatable",
      repeatable: true,
    },
    external: {
      flags: "--external <resource>",
      description: "accepted as by CRIU: what was left out is known from the images; repeatable",
      repeatable: true,
    },
    linkRemap: {
      flags: "--link-remap",
      description:
        "accepted as by CRIU: names that the checkpoint has made for deleted files are always used",
    },
    fileLocks: {
      flags: "-l, --file-locks",
      description: "accepted as by CRIU: locks of files are always taken again",
    },
    tcpEstablished: {
      flags: "--tcp-established",
      description: "accepted as by CRIU: connections that were saved are always restored",
    },
    tcpClose: {
      flags: "--tcp-close",
      description: "bring TCP connections back shut down, and make none",
    },
    skipInFlight: {
      flags: "--skip-in-flight",
      description: "accepted as by CRIU: the checkpoint has left them out",
    },
    extUnixSk: {
      flags: "-x, --ext-unix-sk",
      description: "accepted as by CRIU: sockets that were saved so are always connected again",
    },
    networkLock: NETWORK_LOCK,
    newPidNamespace: {
      flags: "--new-pid-namespace",
      description:
        "have the tree keep its pids in a namespace of its own, with its own /proc, whatever is taken here",
    },
    ignoreFileChange: {
      flags: "--ignore-file-change",
      description: "accept files that have changed since the checkpoint: --file-validation none",
    },
    fileValidation: {
      ...FILE_VALIDATION,
      description:
        "by what a changed file is told: buildid (the default: its size, and the build id or the time of its last " +
        "change, if the checkpoint has saved one), size, mtime (size and time), none",
    },
    rollbackFiles: {
      flags: "--rollback-files",
      description:
        "cut back files to which the tree appended after the checkpoint, if that was made with the same option",
    },
    remap: {
      flags: "--remap <from=to>",
      description: "look for a path and all that lies below it elsewhere; repeatable",
      repeatable: true,
    },
    timeNamespace: {
      flags: "--time-namespace <mode>",
      values: TIME_NAMESPACE_MODES,
      description:
        "whether CLOCK_MONOTONIC and CLOCK_BOOTTIME go on from where they were: auto (the default: " +
        "where they would be behind that), always, never",
    },
    manageCgroups: {
      ...MANAGE_CGROUPS,
      description:
        "control groups: none (they must be there; the default), props (and get their settings), soft (make those that " +
        "are not there; where no mode is given), full (and all get their settings), strict (none may be there), ignore",
    },
    cgroupRoot: {
      ...CGROUP_ROOT,
      description:
        "[CONTROLLER:]PATH, the control group in place of the topmost one of the images; repeatable",
    },
    cgroupYard: CGROUP_YARD,
    ...AROUND_OPTIONS,
    plugin: PLUGIN_OPTION,
    json: { flags: "--json", description: "print the result as JSON" },
    ...REPORT_OPTIONS,
  },
  examples: [
    ["stasis restore /tmp/saved", "bring a tree back and wait for its end"],
    ["stasis restore /tmp/saved --detach", "bring it back and return to the shell"],
    ["stasis restore /tmp/saved --dry-run", "show every system call that would be made"],
    [
      "stasis restore /tmp/saved --inherit-fd 'fd[1]:pipe:[5678]'",
      "let it write to this terminal where it wrote to a pipe",
    ],
  ],
  async run(argument, options, setStatus) {
    const given = either("image directory", argument, options.imagesDir);
    if (given === undefined) {
      throw new StasisError("usage", "no image directory was given", {
        hint: "stasis restore DIR",
      });
    }
    const directory = imagesIn(given);
    parseNetworkLock(options.networkLock);
    const inheritFds = parseInheritFds(options.inheritFd ?? []);
    if (options.inheritFd !== undefined) {
      const { requireInherited } = await import("./inherited.ts");
      for (const fd of Object.values(inheritFds)) requireInherited(fd, "--inherit-fd");
    }
    const operation: OperationOptions = {
      inheritFds,
      external: options.external ?? [],
      tcpClose: options.tcpClose ?? false,
      ignoreFileChange: options.ignoreFileChange ?? false,
      fileValidation: parseFileValidation(options.fileValidation),
      rollbackFiles: options.rollbackFiles,
      remap: parseRemaps(options.remap ?? []),
      timeNamespace: parseTimeNamespace(options.timeNamespace ?? "auto"),
      manageCgroups: parseManageCgroups(options.manageCgroups),
      cgroupRoots: parseCgroupRoots(options.cgroupRoot ?? []),
      detached: options.detach ?? false,
      leaveStopped: options.leaveStopped,
      newPidNamespace: options.newPidNamespace ?? false,
    };
    const plugins = [
      ...await loadPlugins(options.plugin ?? []),
      ...await aroundPlugins(options),
    ];
    const {
      findTaken,
      onEndingSignals,
      planRestore,
      restore,
      shellTerminalUse,
      ShellTerminal,
      waitAsJob,
    } = await import("../mod.ts");
    (await import("../core/linux/signal_watch.ts")).keepDebuggerShut();
    const isForeground = !options.detach && !options.dryRun;
    using terminal = isForeground ? ShellTerminal.open() : undefined;
    if (options.shellJob && terminal === undefined) throw noTerminal(isForeground);

    const controller = new AbortController();
    const running: { tree?: RestoredTree } = {};
    // Until the tree runs a signal cancels the restore; from then on it is the tree's.
    using _listening = onEndingSignals((number) => {
      if (running.tree === undefined) controller.abort();
      else running.tree.kill(number);
    });
    using report = new Report(options);
    const announces = !options.dryRun &&
      (options.pidfile !== undefined || options.statusFd !== undefined);
    using announcement = announces
      ? new (await import("./announce.ts")).Announcement(options)
      : undefined;
    const terminalUse: { use?: TerminalUse } = {};
    const onEvent: EventListener = (event) => {
      report.listener(event);
      // Nobody may read a terminal that belongs to others still when the tree runs.
      if (event.kind !== "phase" || event.phase !== "run" || terminalUse.use === undefined) return;
      // In a namespace of its own the tree's ids are known when it runs.
      if (!operation.newPidNamespace) terminal?.give(terminalUse.use, plan.pid);
    };
    const settings = { plugins, signal: controller.signal, onEvent };
    const replan = () => planRestore(directory, { ...settings, options: operation });
    const plan = await report.of(replan);
    if (options.dryRun) {
      const lines = [...plan.describe()];
      const taken = findTaken(plan);
      for (const { what, passes } of taken) {
        const text = passes ? what : `${what}: as long as that is so, the restore is refused`;
        report.listener({ kind: "note", plugin: "core", text });
      }
      print(options.json ? toJson({ pid: plan.pid, plan: lines, taken }) : lines.join("\n"));
      if (taken.some(({ passes }) => !passes)) setStatus(EXIT_STATUS.conflict);
      return;
    }
    terminalUse.use = shellTerminalUse(plan);
    if (options.shellJob && terminalUse.use === undefined) throw ownSession();
    const beforeRun = announcement?.prepare;
    const tree = running.tree = await report.of(() =>
      restore(plan, { ...settings, beforeRun, replan })
    );
    const untold = announcement?.tell();
    report.clear();
    const { pid, innerPid, pids } = tree;
    if (operation.newPidNamespace && terminalUse.use !== undefined) {
      terminal?.giveTo(pid, terminalUse.use);
    }
    if (untold !== undefined) {
      report.listener({ kind: "note", plugin: "core", text: `the tree runs, but ${untold}` });
    }
    if (options.detach) {
      const inside = pid === innerPid ? "" : `, as ${innerPid} in its pid namespace`;
      print(
        options.json
          ? toJson({ pid, innerPid, pids, untold })
          : `${pid}: runs again${inside} (${plural(pids.length, "process", "processes")})`,
        `the tree runs as ${pid}`,
      );
      if (untold !== undefined) setStatus(EXIT_STATUS.io);
      return;
    }
    const ending = terminal === undefined || terminalUse.use === undefined
      ? await tree.wait()
      : await waitAsJob(tree, terminal);
    if (options.json) {
      print(
        toJson({ pid, innerPid, pids, untold, ending }),
        `the tree ran as ${pid}, and has ended`,
      );
    }
    setStatus(statusOf(ending));
  },
});
