import { variantName, VARIANTS } from "../harness/variants.ts";
import { bringsBack, leavesAlone } from "./round_trip.ts";

for (const name of ["creds_caps"]) {
  for (const args of VARIANTS[name] ?? []) {
    const title = variantName(name, args);
    Deno.test(`${title}: it is what it was after a restore`, (t) => bringsBack(t, name, { args }));
    Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
      leavesAlone(t, name, { args }));
  }
}
