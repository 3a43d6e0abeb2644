/**
 * A plugin that ends every restore before its tree runs: nothing that hostile images say ever does.
 *
 * @module
 */
import { definePlugin, StasisError } from "../../mod.ts";

export default definePlugin({
  name: "stop",
  description: "ends every restore before the tree runs",
  restore: () => {
    let last = 0;
    return {
      planTree({ tasks }) {
        last = tasks.at(-1)?.threads.at(-1)?.tid ?? 0;
      },
      armThread({ tid }) {
        if (tid === last) throw new StasisError("cancelled", "nothing hostile is to run");
      },
    };
  },
});
