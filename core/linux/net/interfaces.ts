/**
 * Network interfaces of this network namespace: names and numbers.
 *
 * @module
 */
import { isMissing } from "../files.ts";

/** The number of an interface; undefined where there is none of that name. */
export function interfaceIndex(name: string): number | undefined {
  try {
    return Number(Deno.readTextFileSync(`/sys/class/net/${name}/ifindex`));
  } catch (error) {
    if (isMissing(error) || error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The name of an interface; undefined where there is none of that number. */
export function interfaceName(index: number): string | undefined {
  for (const { name } of Deno.readDirSync("/sys/class/net")) {
    if (interfaceIndex(name) === index) return name;
  }
  return undefined;
}
