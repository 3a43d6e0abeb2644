import { deepEqual, equal, ok } from "@std/assert";
import { encodeBytes } from "../../base/byte_text.ts";
import { PATH_MAX, splitPath } from "./path_pieces.ts";

const NAME = "n".repeat(255);
const deep = (count: number, name = NAME): string => Array(count).fill(name).join("/");

Deno.test("splitPath() leaves alone what fits into one call", () => {
  for (
    const path of ["/", "/a/b", "a//b/", "", `/${deep(15)}`, `/${deep(15)}/${"n".repeat(254)}`]
  ) {
    deepEqual(splitPath(path), [path]);
  }
});

Deno.test("splitPath() parts a long path into pieces that lead to the same place", () => {
  for (
    const path of [
      `/${deep(16)}`,
      `/${deep(16)}/${deep(16)}/${deep(1)}`,
      deep(40),
      `/${deep(3000, "a")}`,
      `/${deep(40, "\u00e4".repeat(127))}`,
      `/${deep(40, "\udcff".repeat(250))}`,
    ]
  ) {
    const pieces = splitPath(path);
    equal(pieces.join("/"), path);
    ok(pieces.length > 1);
    for (const piece of pieces) ok(encodeBytes(piece).byteLength < PATH_MAX);
    for (const piece of pieces.slice(1)) ok(!piece.startsWith("/") && piece !== "");
  }
});

Deno.test("splitPath() makes no piece that begins at the root, however many slashes there are", () => {
  for (const path of [`/${deep(16)}////${deep(16)}`, `/${deep(17)}//`, `/${deep(16)}/`]) {
    const pieces = splitPath(path);
    equal(pieces.join("/"), path.replaceAll(/\/+/g, "/").replace(/\/$/, ""));
    for (const piece of pieces.slice(1)) ok(!piece.startsWith("/") && piece !== "", piece);
  }
});
