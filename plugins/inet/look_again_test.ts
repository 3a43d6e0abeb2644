import { equal } from "@std/assert";
import { TCP } from "../../core/linux/net/inet_diag.ts";
import { isChanged } from "./look_again.ts";
import { tcpProblem } from "./state.ts";
import { hasStream } from "./tcp_info.ts";

Deno.test("isChanged() lets connections that were read go on, and nothing else", () => {
  equal(isChanged(TCP.FIN_WAIT1, TCP.FIN_WAIT2, true), false);
  // It was reset after the survey, before or after it was read.
  equal(isChanged(TCP.CLOSE, TCP.CLOSE, true), true);
  equal(isChanged(TCP.ESTABLISHED, TCP.CLOSE, true), true);
  equal(isChanged(TCP.SYN_SENT, TCP.ESTABLISHED, false), true);
  equal(isChanged(TCP.LISTEN, TCP.LISTEN, false), false);
});

Deno.test("a connection that is half made is refused", () => {
  const info = {
    state: TCP.SYN_RECV,
    options: 0,
    sendScale: 0,
    receiveScale: 0,
    waiting: 0,
    backlog: 0,
  };
  equal(hasStream(TCP.SYN_RECV), false);
  equal(tcpProblem(-1, 0, info).problem, "is a connection that is not made yet (SYN_RECV)");
  equal(tcpProblem(-1, 0, { ...info, state: TCP.ESTABLISHED }).problem, undefined);
});
