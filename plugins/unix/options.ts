/**
 * Options by which a unix socket cannot be saved.
 *
 * @module
 */
import { filterProblem } from "../../core/checkpoint/socket_filter.ts";
import { type OptionReader, SO } from "../../core/linux/net/socket_options.ts";

/** Why the options of a socket cannot be saved. */
export function optionProblem(options: OptionReader): string | undefined {
  const filter = filterProblem(options);
  if (filter !== undefined) return filter;
  const device = options.bytes(SO.BINDTODEVICE) ?? new Uint8Array(0);
  if (device.byteLength > 0) return "is bound to a network interface (SO_BINDTODEVICE)";
  return undefined;
}
