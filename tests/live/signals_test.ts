import { variantName, VARIANTS } from "../harness/variants.ts";
import { bringsBack, leavesAlone } from "./round_trip.ts";

/** A process that is let go with a stop signal takes it a moment later; the subject sees for itself that it did. */
const ignore = [/\/state$/];

for (const name of ["sig_altstack", "sig_handlers", "sig_masks", "sig_pending", "sig_stopped"]) {
  for (const args of VARIANTS[name] ?? []) {
    const title = variantName(name, args);
    Deno.test(`${title}: it is what it was after a restore`, (t) =>
      bringsBack(t, name, { args, ignore }));
    Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
      leavesAlone(t, name, { args }));
  }
}
