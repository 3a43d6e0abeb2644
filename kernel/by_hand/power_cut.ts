// SPDX-License-Identifier: MIT
/**
 * The power is cut often while a job is saved.
 *
 * @module
 */

import { ok } from "@std/assert";
import { cutPower } from "../power_cut.ts";

/** How often; `STASIS_POWER_CUTS` is another number. */
const CUTS = Number(Deno.env.get("STASIS_POWER_CUTS") ?? 20);
ok(Number.isInteger(CUTS), "STASIS_POWER_CUTS is a number");

Deno.test(`run: a job does each step once, whenever the power is cut, ${CUTS} times`, () =>
  cutPower(CUTS));
