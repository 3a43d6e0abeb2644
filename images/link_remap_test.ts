import { equal } from "@std/assert";
import { isLinkRemap, linkRemapName } from "./link_remap.ts";

Deno.test("isLinkRemap() takes the names that linkRemapName() makes, and no others", () => {
  for (const random of [0n, 1n, 0xffff_ffff_ffff_ffffn]) {
    equal(isLinkRemap(`/a/${linkRemapName(7, random)}`), true);
  }
  equal(linkRemapName(7, 0xabcn), "link_remap.7-0000000000000abc");
  equal(isLinkRemap("/a/link_remap.7"), true);
  const others = [
    "/etc/passwd",
    "link_remap.1",
    "/link_remap.1/x",
    "/link_remap.",
    "/xlink_remap.1",
    "/link_remap.1\n",
    "/link_remap.1-",
    "/link_remap.1-x",
  ];
  for (const other of others) equal(isLinkRemap(other), false, other);
});
