/**
 * Syscall User Dispatch (SUD), the primary plugin.
 *
 * Per thread the kernel has a mode, the address of a selector byte, and a range of addresses from which
 * calls are never (or, inclusive, alone) dispatched. fork, clone and exec clear it, so a restore sets it
 * for every thread. It is written to `sud.img`, one entry for each thread that has it on; the selector
 * bytes themselves are memory like any other.
 *
 * Every call that is injected into a thread with dispatch on would come back as a SIGSYS. So it is
 * suspended before anything is injected, and armed as the last thing of a restore; see `backend.ts` for
 * the three ways.
 *
 * If the tool is killed while dispatch is suspended, the target never runs on without it. Its threads wait
 * (`Tracee.park()`) until the guardian has put everything back, the configuration under the ptrace back end included;
 * the series' suspension ends with the tracing by itself. A target without a place where it can wait is killed with
 * the tool.
 *
 * @module
 */
import { INVENTORY } from "../../images/kinds/core.ts";
import { SUD } from "../../images/kinds/sud.ts";
import { uniqueById } from "../../images/unique.ts";
import type { CheckpointHooks, Plugin, RestoreHooks } from "../../core/plugin.ts";
import { definePlugin } from "../../core/plugin.ts";
import { chooseBackend, hasInclusiveMode } from "./choose_backend.ts";
import { SUD_MODE, type SudConfig } from "./config.ts";
import { sudFeatures } from "./features.ts";

/** The plugin. */
export const sud: Plugin = definePlugin({
  name: "sud",
  description: "Syscall User Dispatch of every thread",
  images: [SUD],

  check: sudFeatures,

  checkpoint(session): CheckpointHooks {
    const backend = chooseBackend();
    const configs = new Map<number, SudConfig>();
    return {
      survey(tree) {
        backend.survey?.(tree);
      },
      mayNeedTracer: (task) => backend.mayNeedTracer?.(task) ?? false,
      freezeThreads(threads) {
        backend.suspend(threads, ({ tid }, config) => configs.set(tid, config));
      },
      collectThreads(program) {
        const read = backend.read?.(program);
        return read && (({ tid }, reply) => {
          const config = read(reply);
          if (config.mode !== SUD_MODE.OFF) configs.set(tid, config);
        });
      },
      dumpTree(tree) {
        if (configs.size === 0) return;
        session.requirePlugin();
        for (const task of tree.tasks) {
          for (const { tid } of task.threads) {
            const config = configs.get(tid);
            if (config === undefined) continue;
            const { mode, selector, offset, len } = config;
            session.writer.append(SUD, null, {
              pid: task.pid,
              tid,
              mode: Number(mode),
              selector,
              offset,
              len,
            });
          }
        }
      },
    };
  },

  restore({ images }): RestoreHooks {
    const entries = images.has(SUD, null) ? images.readList(SUD, null) : [];
    uniqueById(entries, ({ tid }) => tid, images.pathOf(SUD, null), "thread");
    const configs = new Map(
      entries.map(({ tid, mode, selector, offset, len }): [number, SudConfig] => [
        tid,
        { mode: BigInt(mode), selector, offset, len },
      ]),
    );
    const backend = chooseBackend();
    return {
      load({ problem }) {
        const needed = images.read(INVENTORY, null).pluginsEntry?.plugins ?? [];
        if (configs.size === 0 && needed.includes("sud")) {
          problem({
            what: "the inventory says that there is Syscall User Dispatch, but sud.img has none",
            hint: "the directory is damaged: make the checkpoint again",
          });
        }
        if (configs.size === 0) return;
        if (!backend.usable) {
          problem({
            what: `${configs.size} threads use Syscall User Dispatch, which this kernel cannot arm`,
            hint: "boot Linux 6.4 or later, or one with the series of kernel/patches",
          });
        }
        const inclusive = entries.find(({ mode }) => BigInt(mode) === SUD_MODE.INCLUSIVE);
        if (inclusive !== undefined && !hasInclusiveMode()) {
          problem({
            pid: inclusive.pid,
            tid: inclusive.tid,
            what:
              "it uses the inclusive mode of Syscall User Dispatch, which this kernel does not have",
            hint: "restore on Linux 6.17 or later",
          });
        }
      },
      bornThread({ tid, tracee }) {
        if (configs.has(tid)) backend.prepare?.(tracee);
      },
      planThread(thread) {
        const config = configs.get(thread.tid);
        if (config !== undefined) backend.planArm?.(thread.program("signals"), config);
      },
      armThread({ tid, tracee }) {
        const config = configs.get(tid);
        if (config !== undefined) backend.arm?.(tracee.tid, config);
      },
    };
  },
});
