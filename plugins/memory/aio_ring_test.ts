import { deepEqual, equal } from "@std/assert";
import { parsePossible, requestProblem } from "./plan_aio.ts";
import { AioRing, completions, isSane, leastRequests, requestsFor, ringSize } from "./aio_ring.ts";

Deno.test("requestsFor() asks for as many as make a ring of the same size", () => {
  for (const asked of [1, 16, 62, 63, 128, 1000, 65536]) {
    const size = ringSize(asked, 2);
    equal(ringSize(requestsFor(size), 2), size, `${asked} requests`);
  }
  // A machine with many processors makes larger rings.
  equal(ringSize(1, 2), 4096n);
  equal(ringSize(requestsFor(4096n), 64) > 4096n, true);
});

Deno.test("leastRequests() asks for no more than makes a ring of the same size", () => {
  for (const asked of [1, 16, 62, 63, 128, 1000, 65536]) {
    const size = ringSize(asked, 2);
    const least = leastRequests(size, 2);
    equal(ringSize(least, 2), size, `${asked} requests`);
    equal(least <= asked, true);
    equal(least === 1 || ringSize(least - 1, 2) < size, true, `${asked} requests`);
  }
  equal(leastRequests(4096n, 2), 1);
  equal(leastRequests(8192n, 2), 63);
  // The kernel makes room for four of each processor.
  equal(leastRequests(ringSize(1, 64), 64), 1);
});

Deno.test("requestProblem() compares all rings of a tree with what is left", () => {
  const rings = [{ requests: 63 }, { requests: 1 }];
  equal(requestProblem(rings, { most: 70, used: 6 }), undefined);
  equal(
    requestProblem(rings, { most: 70, used: 7 })?.what,
    "the rings of io_setup need 64 requests, and this machine has 63 left of 70",
  );
});

Deno.test("completions() ends where the ring stands, and never has more under way than there is room", () => {
  for (const nr of [127, 5000]) {
    for (
      const [head, tail] of [[0, 0], [0, 5], [3, 3], [100, 3], [nr - 1, nr - 2], [7, nr - 1]]
    ) {
      let taken = 0, come = 0;
      for (const step of completions({ nr, head: head!, tail: tail! })) {
        equal(step.count <= Math.max(1, nr >> 2), true);
        come += step.count;
        if (step.taken) taken += step.count;
        equal(come - taken < nr, true);
      }
      deepEqual([taken % nr, come % nr], [head, tail]);
    }
  }
});

Deno.test("isSane() knows a ring from what a program has made of it", () => {
  const ring = {
    id: 0,
    nr: 127,
    head: 3,
    tail: 126,
    magic: 0xa10a10a1,
    compatible: 1,
    incompatible: 0,
    headSize: 32,
  };
  equal(AioRing.size, 32);
  equal(isSane(ring, 4096n), true);
  equal(isSane(ring, 8192n), false);
  for (const wrong of [{ tail: 127 }, { head: 127 }, { magic: 0 }, { headSize: 0 }]) {
    equal(isSane({ ...ring, ...wrong }, 4096n), false);
  }
});

Deno.test("parsePossible() counts processors", () => {
  equal(parsePossible("0\n"), 1);
  equal(parsePossible("0-1\n"), 2);
  equal(parsePossible("0,2-5,8"), 6);
});
