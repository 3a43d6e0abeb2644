// SPDX-License-Identifier: MIT
/**
 * The power is cut twice while a job is saved: once when it has been, and once while it is taken up. `deno task
 * test:power` does it more often.
 *
 * @module
 */

import { cutPower } from "../power_cut.ts";

Deno.test("run: a job does each step once, though the power is cut", () => cutPower(2));
