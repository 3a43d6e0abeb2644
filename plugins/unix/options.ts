/**
 * Options by which a unix socket cannot be saved.
 *
 * @module
 */
import { type OptionReader, SO } from "../../core/linux/net/socket_options.ts";

/** Why the options of a socket cannot be saved. */
export function optionProblem(options: OptionReader): string | undefined {
  // With no room the number of its instructions is all that comes; of one of eBPF not even that
  // (sk_get_filter() of net/core/filter.c).
  if (options.length(SO.ATTACH_FILTER) !== 0) return "has a filter attached (SO_ATTACH_FILTER)";
  const device = options.bytes(SO.BINDTODEVICE) ?? new Uint8Array(0);
  if (device.byteLength > 0) return "is bound to a network interface (SO_BINDTODEVICE)";
  return undefined;
}
