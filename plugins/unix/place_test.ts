import { equal } from "@std/assert";
import { directoryOf } from "./place.ts";

Deno.test("directoryOf() tells where a relative path begins", () => {
  equal(directoryOf("/run/app/x", "x", false), "/run/app");
  equal(directoryOf("/run/app/x", "./app//x", false), "/run");
  equal(directoryOf("/x", "x", false), "/");
  equal(directoryOf("/run/app/x (deleted)", "app/x", true), "/run");
});

Deno.test("directoryOf() knows when a path does not tell", () => {
  equal(directoryOf("/run/app/x", "../x", false), undefined);
  equal(directoryOf("/run/app/yx", "x", false), undefined);
});
