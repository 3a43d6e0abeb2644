import { equal } from "@std/assert";
import { nameText } from "./name.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("nameText() shows paths, abstract names and what is no text", () => {
  equal(nameText(bytes("/run/a socket")), "/run/a\\x20socket");
  equal(nameText(bytes("/run/x\0")), "/run/x");
  equal(nameText(bytes("\0abc\0d\n")), "@abc\\x00d\\x0a");
  equal(nameText(bytes("")), "(none)");
});
