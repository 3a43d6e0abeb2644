/**
 * Installs what is missing, by apt-get where that is possible; elsewhere says what to install and how. What would start
 * a service is only unpacked.
 *
 * @module
 */

import { StasisError } from "../../base/errors.ts";
import { installCommand, missingTools, packagesOf, type Tool } from "./tools.ts";
import { UNPACKED_DIR, unpackedPath } from "./unpacked.ts";

/**
 * Sees to it that tools are on the machine. Costs a few stat(2) calls when they are.
 *
 * @param tools what has to be there
 * @param say tells the user what is being done
 * @returns whether something was installed
 * @throws {StasisError} `unsupported` where it cannot install (no root, no Debian), naming packages and command;
 *   `io` where apt-get failed, with what it said
 */
export async function ensureTools(
  tools: readonly Tool[],
  say: (text: string) => void,
): Promise<boolean> {
  const own = (Deno.env.get("PATH") ?? "").split(":").filter((directory) => directory !== "");
  const path = [...own, ...unpackedPath()];
  const missing = missingTools(tools, path, exists);
  if (missing.length === 0) return false;

  const has = (command: string) => own.some((directory) => exists(`${directory}/${command}`));
  const packages = packagesOf(missing);
  const names = missing.map((tool) => `${tool.name} (${tool.why})`).join(", ");
  if (!has("apt-get")) {
    const command = installCommand(packages, has);
    throw new StasisError("unsupported", `These are missing: ${names}`, {
      hint: command ?? `install what Debian calls ${packages.join(" ")}`,
    });
  }
  if (Deno.uid() !== 0) {
    throw new StasisError("unsupported", `These are missing: ${names}`, {
      hint: `as root: apt-get ${[...INSTALL, ...packages].join(" ")}`,
    });
  }

  say(`missing: ${names}`);
  const { services = [], programs = [] } = Object.groupBy(
    missing,
    ({ isService }) => isService ? "services" : "programs",
  );
  if (programs.length > 0) {
    const wanted = packagesOf(programs);
    say(`installing ${wanted.join(" ")}`);
    await withFreshLists(say, () => aptGet([...INSTALL, ...wanted]));
  }
  if (services.length > 0) {
    const wanted = packagesOf(services);
    say(`unpacking ${wanted.join(" ")} into ${UNPACKED_DIR}`);
    await withFreshLists(say, () => unpack(wanted));
  }
  const still = missingTools(missing, path, exists);
  if (still.length > 0) {
    throw new StasisError(
      "unsupported",
      `apt-get brought ${packages.join(" ")}, and yet these are missing: ${
        still.map((tool) => tool.name).join(", ")
      }`,
    );
  }
  return true;
}

const INSTALL = ["install", "-y", "--no-install-recommends"];

/** Fetches with package lists that are there and, where that fails, fresh. */
async function withFreshLists(
  say: (text: string) => void,
  fetch: () => Promise<void>,
): Promise<void> {
  if (!await listsAreFilled()) {
    say("fetching the package lists (apt-get update)");
    await aptGet(["update"]);
  }
  try {
    await fetch();
  } catch {
    // Lists that are old name packages that the mirror no longer has.
    say("once more with fresh package lists (apt-get update)");
    await aptGet(["update"]);
    await fetch();
  }
}

/** Fetches packages with all that they need and is not installed, and unpacks them: nothing of them is run. */
async function unpack(packages: readonly string[]): Promise<void> {
  await Deno.mkdir(UNPACKED_DIR, { recursive: true });
  const fetched = await Deno.makeTempDir({ prefix: "stasis-packages-" });
  try {
    await Deno.mkdir(`${fetched}/partial`);
    const where = ["-o", `Dir::Cache::archives=${fetched}`];
    await aptGet([...where, ...INSTALL, "--download-only", ...packages]);
    for await (const { name } of Deno.readDir(fetched)) {
      if (name.endsWith(".deb")) await run("dpkg", ["-x", `${fetched}/${name}`, UNPACKED_DIR]);
    }
  } finally {
    await Deno.remove(fetched, { recursive: true });
  }
}

/** Whether apt-get has been told what packages there are; on a fresh machine it has not. */
async function listsAreFilled(): Promise<boolean> {
  try {
    for await (const entry of Deno.readDir("/var/lib/apt/lists")) {
      if (entry.name.includes("_Packages")) return true;
    }
  } catch {
    // Then there are none.
  }
  return false;
}

async function aptGet(args: string[]): Promise<void> {
  await run("apt-get", args);
}

async function run(command: string, args: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return;
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  throw new StasisError("io", `${command} ${args.join(" ")} failed:\n${text.trim()}`, {
    hint: "is the network there? try the command by hand",
  });
}

function exists(file: string): boolean {
  try {
    Deno.statSync(file);
    return true;
  } catch {
    return false;
  }
}
