/**
 * Running the plugins' hooks: in plugin order, one after the other, with the plugin's name on every error.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import type { EventListener } from "../base/events.ts";
import { machineError } from "../base/thrown.ts";
import type { Cancellation } from "./cancellation.ts";
import type { OperationOptions, Plugin, Session } from "./plugin.ts";

/** One plugin's hooks in one operation. */
export interface Hooked<Hooks> {
  readonly plugin: Plugin;
  readonly hooks: Hooks;
}

/**
 * Puts plugins into an order in which each comes after those it names in `after` and before those in
 * `before`; otherwise they stay as listed. Names of plugins that are not there are no constraint.
 *
 * @throws {StasisError} `usage` for two plugins of one name, or an order that contradicts itself
 */
export function orderPlugins(plugins: readonly Plugin[]): Plugin[] {
  const byName = new Map<string, Plugin>();
  for (const plugin of plugins) {
    if (byName.has(plugin.name)) {
      throw new StasisError("usage", `two plugins have the name "${plugin.name}"`);
    }
    byName.set(plugin.name, plugin);
  }
  const earlier = new Map<Plugin, Set<Plugin>>(plugins.map((plugin) => [plugin, new Set()]));
  for (const plugin of plugins) {
    for (const name of plugin.after ?? []) {
      const other = byName.get(name);
      if (other !== undefined) earlier.get(plugin)?.add(other);
    }
    for (const name of plugin.before ?? []) {
      const other = byName.get(name);
      if (other !== undefined) earlier.get(other)?.add(plugin);
    }
  }
  const ordered: Plugin[] = [];
  const state = new Map<Plugin, "open" | "done">();
  const visit = (plugin: Plugin): void => {
    if (state.get(plugin) === "done") return;
    if (state.get(plugin) === "open") {
      throw new StasisError("usage", `the order of plugin "${plugin.name}" contradicts itself`);
    }
    state.set(plugin, "open");
    for (const other of plugins) if (earlier.get(plugin)?.has(other)) visit(other);
    state.set(plugin, "done");
    ordered.push(plugin);
  };
  plugins.forEach(visit);
  return ordered;
}

/** Names the plugin on an error of one of its hooks. */
export function blame(plugin: Plugin, error: unknown): StasisError {
  if (error instanceof StasisError) {
    if (error.plugin !== undefined) return error;
    return new StasisError(error.code, error.message, {
      pid: error.pid,
      errno: error.errno,
      hint: error.hint,
      problems: error.problems,
      plugin: plugin.name,
      cause: error,
    });
  }
  const refused = machineError(error);
  if (refused !== undefined) return blame(plugin, refused);
  const text = error instanceof Error ? error.message : String(error);
  return new StasisError("internal", `plugin ${plugin.name} failed: ${text}`, {
    plugin: plugin.name,
    cause: error,
  });
}

/** Runs one hook of one plugin. */
export function runHook<T>(plugin: Plugin, hook: () => T): T {
  try {
    const result = hook();
    if (result instanceof Promise) {
      return result.catch((error) => {
        throw blame(plugin, error);
      }) as T;
    }
    return result;
  } catch (error) {
    throw blame(plugin, error);
  }
}

/** Something that a plugin offers for things of one kind: a dumper, a planner. */
export interface Offer<Thing> {
  readonly plugin: Plugin;
  readonly offered: Thing;
}

/** What all plugins offer of one kind. There are a dozen, and they are asked about each of a hundred thousand things. */
export class Offers<Hooks, Thing> {
  /** By the plugins of an operation, all of whose hooks are there before any is asked. */
  readonly #known = new WeakMap<readonly Hooked<Hooks>[], readonly Offer<Thing>[]>();
  readonly #listOf: (hooks: Hooks) => readonly Thing[] | undefined;

  /** @param listOf what one plugin offers */
  constructor(listOf: (hooks: Hooks) => readonly Thing[] | undefined) {
    this.#listOf = listOf;
  }

  /** Those that say yes. @throws {StasisError} what one of them throws, with its plugin's name */
  ask(plugins: readonly Hooked<Hooks>[], isTaken: (offered: Thing) => boolean): Offer<Thing>[] {
    let all = this.#known.get(plugins);
    if (all === undefined) {
      all = plugins.flatMap(({ plugin, hooks }) =>
        (this.#listOf(hooks) ?? []).map((offered) => ({ plugin, offered }))
      );
      this.#known.set(plugins, all);
    }
    const found: Offer<Thing>[] = [];
    let asked: Plugin | undefined;
    try {
      for (const offer of all) {
        asked = offer.plugin;
        if (isTaken(offer.offered)) found.push(offer);
      }
    } catch (error) {
      throw blame(asked as Plugin, error);
    }
    return found;
  }
}

/** The part of a session that is the same in both directions. */
export function makeSession(
  plugin: Plugin,
  listener: EventListener,
  cancellation: Cancellation,
  options: OperationOptions,
): Session {
  return {
    signal: cancellation.signal,
    options,
    note: (text) => listener({ kind: "note", plugin: plugin.name, text }),
    detail: (text) => listener({ kind: "detail", plugin: plugin.name, text }),
    progress: (what, done, total) => listener({ kind: "progress", what, done, total }),
    check: () => cancellation.check(),
    breathe: () => cancellation.breathe(),
  };
}
