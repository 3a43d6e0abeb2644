/**
 * Tables of text.
 *
 * @module
 */

/** Where a column's text stands. */
export type Align = "left" | "right";

/** How many columns a text takes on the screen: without escape sequences, by code points. */
export function width(text: string): number {
  // deno-lint-ignore no-control-regex
  return [...text.replace(/\x1b\[[0-9;]*m/g, "")].length;
}

/**
 * Rows as lines, two spaces between columns, no spaces at the ends of lines.
 *
 * @param align of the columns; those that it does not name stand left
 */
export function table(
  rows: readonly (readonly string[])[],
  align: readonly Align[] = [],
): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => widths[column] = Math.max(widths[column] ?? 0, width(cell)));
  }
  return rows.map((row) =>
    row.map((cell, column) => {
      const space = " ".repeat(widths[column]! - width(cell));
      return align[column] === "right" ? space + cell : cell + space;
    }).join("  ").trimEnd()
  );
}
