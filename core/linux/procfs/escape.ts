/**
 * The two ways in which procfs escapes text.
 *
 * @module
 */

/**
 * Undoes the octal escapes of a path (fs/seq_file.c, mangle_path()): a backslash and three digits stand
 * for one byte.
 *
 * Which bytes are escaped depends on the file. `mountinfo` escapes blank, tab, newline and backslash, so
 * this is exact. `maps` and `smaps` escape the newline alone and leave backslashes as they are, so there
 * the four characters `\012` in a file's name read like a newline: compare device and inode where that
 * matters.
 *
 * @param only Undo the escape of this byte alone (for `maps`).
 */
export function unescapeOctal(text: string, only?: number): string {
  if (!text.includes("\\")) return text;
  return text.replaceAll(/\\([0-3][0-7]{2})/g, (whole, octal: string) => {
    const byte = Number.parseInt(octal, 8);
    return only === undefined || only === byte ? String.fromCharCode(byte) : whole;
  });
}

/** Undoes the escapes of a name in `status`: `\n` and `\\` (fs/proc/array.c, proc_task_name()). */
export function unescapeName(text: string): string {
  return text.replaceAll(/\\([n\\])/g, (_, letter: string) => letter === "n" ? "\n" : "\\");
}
