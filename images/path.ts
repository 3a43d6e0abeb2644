/**
 * The three path functions that images need. `node:path` has them too and costs 5 ms at every start.
 *
 * @module
 */

import { ioError } from "../base/io_error.ts";

/**
 * A path from the root, without `.`, `..`, double or trailing slashes. Symbolic links stay.
 *
 * @throws {StasisError} `io` where the working directory is gone
 */
export function absolutePath(path: string): string {
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${workingDirectory()}/${path}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function workingDirectory(): string {
  try {
    return Deno.cwd();
  } catch (cause) {
    throw ioError("tell the working directory", cause);
  }
}

/** The directory of an absolute path. */
export function parentPath(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** The last part of an absolute path. */
export function lastName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
