/**
 * Plugins that run scripts of the user around checkpoints and restores: as CRIU runs action scripts, by the same names
 * of what happens, in the same variables of the environment (CRIU's `criu/action-scripts.c`). What a script prints goes
 * to stderr.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { ioError } from "../../base/io_error.ts";
import { definePlugin, type Operation, type Plugin } from "../../core/plugin.ts";

/** What happens, as CRIU calls it. Those that are not here belong to namespaces or to its service. */
export type Action =
  /** A checkpoint is about to begin. */
  | "pre-dump"
  /** It has been made. */
  | "post-dump"
  /** A restore is about to begin. */
  | "pre-restore"
  /** The tree is whole and does not run yet. */
  | "post-restore"
  /** The same, last before it runs. */
  | "pre-resume"
  /** It runs. */
  | "post-resume";

/** What runs a script: a program with its arguments, without stdout. */
interface Script {
  /** For messages. */
  readonly name: string;
  /** The words of sh(1). */
  readonly words: readonly string[];
}

/**
 * A plugin that runs an executable file at every {@link Action}, as CRIU's `--action-script` does. If it ends with
 * another status than 0 the operation fails; once the tree runs again that is only told, and a checkpoint that has been
 * made stays.
 *
 * @param file its path
 */
export function actionScript(file: string): Plugin {
  const path = file.includes("/") ? file : `./${file}`;
  const script = { name: file, words: ["-c", 'exec "$0" >&2', path] };
  const run = (action: Action, operation: Operation, pid?: number) =>
    runScript(script, { action, operation, pid });
  return definePlugin({
    name: nameOf("action-script", file),
    description: `runs ${file} around checkpoints and restores`,
    around: {
      beforeCheckpoint: (operation) => run("pre-dump", operation, operation.pid),
      afterCheckpoint: (operation, failure) =>
        failure === undefined ? run("post-dump", operation, operation.pid) : undefined,
      beforeRestore: (operation) => run("pre-restore", operation),
      async beforeRun(operation, pid) {
        await run("post-restore", operation, pid);
        await run("pre-resume", operation, pid);
      },
      afterRestore: (operation, pid, failure) =>
        failure === undefined ? run("post-resume", operation, pid) : undefined,
    },
  });
}

/** Commands of a shell around checkpoints and restores. */
export interface AroundCommands {
  /** Run before each; if it ends with another status than 0, the operation fails and nothing is done. */
  readonly before?: string;
  /** Run after each, also where that has failed: then `STASIS_STATUS` is another than 0. */
  readonly after?: string;
}

/** A plugin that runs commands of a shell around checkpoints and restores, told the {@link Action}. */
export function aroundCommands({ before, after }: AroundCommands): Plugin {
  const run = (
    command: string | undefined,
    action: Action,
    operation: Operation,
    pid?: number,
    failure?: StasisError,
  ) => {
    if (command === undefined) return;
    const script = { name: command, words: ["-c", `exec >&2\n${command}`] };
    return runScript(script, { action, operation, pid, failure });
  };
  return definePlugin({
    name: "around-commands",
    description: "runs commands around checkpoints and restores",
    around: {
      beforeCheckpoint: (operation) => run(before, "pre-dump", operation, operation.pid),
      afterCheckpoint: (operation, failure) =>
        run(after, "post-dump", operation, operation.pid, failure),
      beforeRestore: (operation) => run(before, "pre-restore", operation),
      afterRestore: (operation, pid, failure) => run(after, "post-resume", operation, pid, failure),
    },
  });
}

/** A name that differs for different files: letters of the path, and a number made of all of it. */
function nameOf(prefix: string, file: string): string {
  let hash = 0;
  for (const character of file) hash = (hash * 31 + (character.codePointAt(0) as number)) >>> 0;
  return `${prefix}-${hash.toString(36)}`;
}

/** The environment that a script gets beside this command's own. Pure. */
export function scriptEnvironment(
  { action, operation, pid, failure }: {
    readonly action: Action;
    readonly operation: Pick<Operation, "directory">;
    readonly pid?: number;
    readonly failure?: StasisError;
  },
): Record<string, string> {
  return {
    CRTOOLS_SCRIPT_ACTION: action,
    CRTOOLS_IMAGE_DIR: operation.directory,
    ...pid === undefined ? {} : { CRTOOLS_INIT_PID: String(pid) },
    STASIS_STATUS: String(failure?.exitStatus ?? 0),
  };
}

async function runScript(
  { name, words }: Script,
  what: Parameters<typeof scriptEnvironment>[0] & { readonly operation: Operation },
): Promise<void> {
  const { action, operation } = what;
  // A script that comes after is not spared by what has cancelled the operation.
  const isAfter = action === "post-dump" || action === "post-resume";
  let status: Deno.CommandStatus;
  try {
    status = await new Deno.Command("/bin/sh", {
      args: [...words],
      env: scriptEnvironment(what),
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
      signal: isAfter ? undefined : operation.signal,
    }).spawn().status;
  } catch (cause) {
    throw ioError(`run ${name}`, cause);
  }
  if (status.success) return;
  if (!isAfter && operation.signal.aborted) throw new StasisError("cancelled", "cancelled");
  throw new StasisError("io", `${name} ended with status ${status.code} at ${action}`, {
    hint: "what it has said stands above",
  });
}
