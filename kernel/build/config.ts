// SPDX-License-Identifier: MIT
/**
 * Kernel configurations: what a fragment asks for and whether the merged configuration has it. kconfig
 * drops, without an error, what has an unmet dependency or no such symbol, so it has to be checked.
 *
 * @module
 */

/** Symbols with their values; `undefined` means "is not set". */
export type KernelConfig = ReadonlyMap<string, string | undefined>;

/** Reads a `.config` or a fragment of one. Later lines win, as in `merge_config.sh`. */
export function parseConfig(text: string): KernelConfig {
  const config = new Map<string, string | undefined>();
  for (const line of text.split("\n")) {
    const set = /^(CONFIG_\w+)=(.*)$/.exec(line);
    const unset = /^# (CONFIG_\w+) is not set$/.exec(line);
    if (set) config.set(set[1]!, set[2]!);
    else if (unset) config.set(unset[1]!, undefined);
  }
  return config;
}

/**
 * What a configuration lacks of what was asked for.
 *
 * @param wanted the fragment
 * @param actual the whole configuration; a symbol that is absent from it is not set
 * @returns one line for each difference, such as `CONFIG_KCMP: wanted y, is not set`
 */
export function configDifferences(wanted: KernelConfig, actual: KernelConfig): string[] {
  const show = (value: string | undefined) => value ?? "not set";
  return [...wanted]
    .filter(([symbol, value]) => actual.get(symbol) !== value)
    .map(([symbol, value]) => `${symbol}: wanted ${show(value)}, is ${show(actual.get(symbol))}`);
}
