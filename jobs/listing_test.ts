import { deepEqual, equal } from "@std/assert";
import { deletedName, newName, readListing } from "./listing.ts";

Deno.test("readListing() knows checkpoints, the latest, and what was left", () => {
  const names = ["10", "9", "9.json", "latest", "lock", "job.json", ".8.deleted", ".latest.new"];
  deepEqual(readListing([...names, ".11.partial-0123456789abcdef", "notes"], "9"), {
    checkpoints: [9, 10],
    latest: 9,
    next: 11,
    leftovers: [".8.deleted", ".latest.new"],
  });
});

Deno.test("readListing() of an empty store", () => {
  deepEqual(readListing([], undefined), {
    checkpoints: [],
    latest: undefined,
    next: 1,
    leftovers: [],
  });
});

Deno.test("readListing() takes no number twice, and no name for a number that is none", () => {
  equal(readListing(["3.json", "latest"], "7").next, 8);
  deepEqual(readListing(["3.json"], undefined).next, 4);
  deepEqual(readListing([".5.deleted"], undefined).next, 6);
  deepEqual(readListing(["0", "01", "1e3", "-1", "1.5", "1234567890123456"], "01").checkpoints, []);
});

Deno.test("readListing() says that the link leads nowhere", () => {
  equal(readListing(["1", "2"], "3").latest, undefined);
  equal(readListing(["1", "2"], "../2").latest, undefined);
  equal(readListing(["1", "2"], undefined).latest, undefined);
});

Deno.test("names of what is in the making are leftovers where nobody finishes it", () => {
  const names = [deletedName(12), newName("latest"), newName("end.json")];
  deepEqual(readListing(names, undefined).leftovers, names);
});
