/**
 * Plugin `cgroups`: the control groups that threads are in, of cgroup v2 and of every hierarchy of v1, and the settings
 * of those groups.
 *
 * Saved: `cgroup.img`, as CRIU has it: each set of groups that threads of the tree or the tool itself are in, and for
 * the groups that the tool is not in their settings, owners and permissions, with all groups in them
 * (`settings.ts`). The sets of threads stand in their core images.
 *
 * Restored: each process writes itself into its groups before it has files or memory, so that these are accounted
 * there; a thread in other groups than its process does so when it is born. By default groups must be there
 * (`--manage-cgroups` makes them). What the tree had in common with the tool that saved it, and is not there, it
 * has in common with the one that restores it: a login session, mostly. What a restore has made goes with it if it
 * fails.
 *
 * A namespace of control groups that is not the tool's is made anew, if the whole tree is in one (`plan_namespace.ts`).
 *
 * Refused at the checkpoint: tasks in frozen groups, which do not run; several namespaces; and what a restore on this
 * machine would refuse: groups that are not mounted, or only for reading, or too small for the threads. Not saved:
 * what a group has counted, what a BPF program attached to it does, pressure triggers (files that are open for them are
 * refused), and the group of a task that has ended.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { CGROUP } from "../../images/kinds/cgroups.ts";
import { checkpointGroups } from "./checkpoint.ts";
import { restoreGroups } from "./restore.ts";

/** The plugin. */
export const cgroups: Plugin = definePlugin({
  name: "cgroups",
  description: "control groups, with their settings",
  images: [CGROUP],
  checkpoint: checkpointGroups,
  restore: restoreGroups,
});
