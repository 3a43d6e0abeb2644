import { deepEqual, equal, match } from "@std/assert";
import { CAP } from "./linux/capability.ts";
import { type Abilities, verdicts } from "./verdicts.ts";

const ROOT: Abilities = {
  effective: (1n << 41n) - 1n,
  basics: true,
  setTid: true,
  userNamespace: true,
};

const possible = (abilities: Partial<Abilities>) =>
  verdicts({ ...ROOT, ...abilities }).map((one) => one.possible);
const notes = (abilities: Partial<Abilities>) =>
  verdicts({ ...ROOT, ...abilities }).map(({ note = "" }) => note);

Deno.test("verdicts() are yes for root, and no where nothing works", () => {
  deepEqual(possible({}), ["yes", "yes", "yes", "yes"]);
  deepEqual(possible({ basics: false }), ["no", "no", "no", "no"]);
});

Deno.test("verdicts() tell an ordinary user what is left, and what is missing for more", () => {
  const user = { effective: 0n, setTid: false };
  deepEqual(possible(user), ["limited", "no", "limited", "no"]);
  const [own = "", others, restore = "", foreign] = notes(user);
  match(own, /^but for programs under seccomp \(CAP_SYS_ADMIN\); .*CAP_NET_ADMIN\)$/);
  equal(others, "CAP_SYS_PTRACE is missing");
  match(restore, /^with --new-pid-namespace/);
  equal(foreign, "CAP_CHECKPOINT_RESTORE, CAP_SETUID, CAP_SETGID, CAP_SETPCAP are missing");
  equal(possible({ ...user, userNamespace: false })[2], "no");
});

Deno.test("verdicts() know single capabilities", () => {
  const { CHECKPOINT_RESTORE, SYS_ADMIN, NET_ADMIN } = CAP;
  equal(possible({ effective: CHECKPOINT_RESTORE })[2], "yes");
  // CAP_SYS_ADMIN is as good as CAP_CHECKPOINT_RESTORE.
  equal(possible({ effective: SYS_ADMIN | NET_ADMIN })[0], "yes");
});
