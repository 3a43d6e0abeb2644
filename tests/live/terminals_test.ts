import { bringsBack, leavesAlone } from "./round_trip.ts";

for (const name of ["ptys", "pty_sessions"]) {
  Deno.test(`${name}: it is what it was after a restore`, (t) => bringsBack(t, name));
  Deno.test(`${name}: a checkpoint that lets it run changes nothing`, (t) => leavesAlone(t, name));
}
