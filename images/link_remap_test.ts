import { equal } from "@std/assert";
import { isLinkRemap, linkRemapName } from "./link_remap.ts";

Deno.test("isLinkRemap() takes the names that linkRemapName() makes, and no others", () => {
  for (const attempt of [0, 1, 12]) equal(isLinkRemap(`/a/${linkRemapName(7, attempt)}`), true);
  const others = [
    "/etc/passwd",
    "link_remap.1",
    "/link_remap.1/x",
    "/link_remap.",
    "/xlink_remap.1",
    "/link_remap.1\n",
  ];
  for (const other of others) equal(isLinkRemap(other), false, other);
});
