import { equal } from "@std/assert";
import { parseNotified } from "./mqueue.ts";

Deno.test("parseNotified() says who is told of the next message", () => {
  const text = "QSIZE:129        NOTIFY:2     SIGNO:0     NOTIFY_PID:8260  \n";
  equal(parseNotified(text), 8260);
  equal(parseNotified(text.replace("8260", "0")), undefined);
});
