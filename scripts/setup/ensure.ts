/**
 * Installs what is missing, by apt-get where that is possible; elsewhere says what to install and how.
 *
 * @module
 */

import { StasisError } from "../../base/errors.ts";
import { installCommand, missingTools, packagesOf, type Tool } from "./tools.ts";

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
  const path = (Deno.env.get("PATH") ?? "").split(":").filter((directory) => directory !== "");
  const missing = missingTools(tools, path, exists);
  if (missing.length === 0) return false;

  const has = (command: string) => path.some((directory) => exists(`${directory}/${command}`));
  const packages = packagesOf(missing);
  const names = missing.map((tool) => `${tool.name} (${tool.why})`).join(", ");
  if (!has("apt-get")) {
    const command = installCommand(packages, has);
    throw new StasisError("unsupported", `These are missing: ${names}`, {
      hint: command ?? `install what Debian calls ${packages.join(" ")}`,
    });
  }
  const install = ["install", "-y", "--no-install-recommends", ...packages];
  if (Deno.uid() !== 0) {
    throw new StasisError("unsupported", `These are missing: ${names}`, {
      hint: `as root: apt-get ${install.join(" ")}`,
    });
  }

  say(`missing: ${names}`);
  say(`installing ${packages.join(" ")}`);
  if (!await listsAreFilled()) {
    say("fetching the package lists (apt-get update)");
    await aptGet(["update"]);
  }
  try {
    await aptGet(install);
  } catch {
    // Lists that are old name packages that the mirror no longer has.
    say("once more with fresh package lists (apt-get update)");
    await aptGet(["update"]);
    await aptGet(install);
  }
  const still = missingTools(missing, path, exists);
  if (still.length > 0) {
    throw new StasisError(
      "unsupported",
      `apt-get installed ${packages.join(" ")}, and yet these are missing: ${
        still.map((tool) => tool.name).join(", ")
      }`,
    );
  }
  return true;
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
  const { success, stdout, stderr } = await new Deno.Command("apt-get", {
    args,
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (success) return;
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  throw new StasisError("io", `apt-get ${args[0]} failed:\n${text.trim()}`, {
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
