/**
 * What this kernel can do about Syscall User Dispatch.
 *
 * @module
 */
import type { Feature } from "../../core/plugin.ts";
import { chooseBackend, hasInclusiveMode } from "./choose_backend.ts";

/** The lines of `stasis check`. */
export function sudFeatures(): readonly Feature[] {
  const backend = chooseBackend();
  return [
    {
      name: `Syscall User Dispatch: back end ${backend.name}`,
      available: backend.usable,
      required: false,
      note: backend.description,
    },
    {
      name: "inclusive mode of Syscall User Dispatch",
      available: hasInclusiveMode(),
      required: false,
      note: "Linux 6.17; programs that use it cannot be restored on older kernels",
    },
  ];
}
