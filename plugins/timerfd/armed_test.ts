import { deepEqual } from "@std/assert";
import { armedAt } from "./mod.ts";

const timer = { vsec: 0n, vnsec: 0n, isec: 0n, insec: 0n, ticks: 0n, settimeFlags: 0 };

Deno.test("armedAt() keeps the time that is left of a relative timer", () => {
  deepEqual(armedAt({ ...timer, vsec: 3n, vnsec: 5n, isec: 1n }, 99n), {
    value: 3_000_000_005n,
    interval: 1_000_000_000n,
  });
});

Deno.test("armedAt() adds the clock's time for an absolute timer that is armed", () => {
  deepEqual(armedAt({ ...timer, vnsec: 7n, settimeFlags: 1 }, 1_000n).value, 1_007n);
  deepEqual(armedAt({ ...timer, settimeFlags: 1 }, 1_000n).value, 0n);
});

Deno.test("armedAt() keeps the point in time of an absolute timer, if there is one to keep", () => {
  const point = { ...timer, vnsec: 7n, settimeFlags: 1 };
  deepEqual(armedAt(point, 1_000n, 900n).value, 900n);
  deepEqual(armedAt({ ...point, vnsec: 0n }, 1_000n, 900n).value, 0n);
  deepEqual(armedAt({ ...point, settimeFlags: 0 }, 1_000n, 900n).value, 7n);
});

Deno.test("armedAt() goes on with a periodic timer that had expired and was saved as if it were off", () => {
  deepEqual(armedAt({ ...timer, isec: 2n, ticks: 1n }, 0n).value, 2_000_000_000n);
  deepEqual(armedAt({ ...timer, isec: 2n }, 0n).value, 0n);
});
