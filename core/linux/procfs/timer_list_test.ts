import { deepEqual } from "@std/assert";
import { parseSleepers } from "./timer_list.ts";

const TEXT = `Timer List Version: v0.10
HRTIMER_MAX_CLOCK_BASES: 8
now at 718374867848 nsecs

cpu: 0
 clock 0:
  .base:       000000009e02ed07
  .index:      0
  .resolution: 1 nsecs
  .offset:     0 nsecs
active timers:
 #0: <00000000d42f1e0e>, tick_nohz_handler, S:01
 # expires at 718376000000-718376000000 nsecs [in 1132152 to 1132152 nsecs]
 #1: <00000000dacb61fd>, hrtimer_wakeup, S:01
 # expires at 718393294810-718393344810 nsecs [in 18426962 to 18476962 nsecs]
 #10: <00000000dacb61fe>, hrtimer_wakeup, S:01
 # expires at 718393294999-718393294999 nsecs [in 18426962 to 18476962 nsecs]
 clock 1:
  .base:       00000000f3b4a1b2
  .index:      1
active timers:
 #0: <00000000dacb61aa>, hrtimer_wakeup, S:01
 # expires at 1764122693294810-1764122693294810 nsecs [in 5 to 5 nsecs]
`;

Deno.test("parseSleepers() finds who is to be woken by CLOCK_MONOTONIC", () => {
  deepEqual([...parseSleepers(TEXT)], [718393294810n, 718393294999n]);
});
