/**
 * A client of `programs/server.py`: asks for one step after the other, and connects anew whenever its connection ends.
 *
 * @module
 */

/** How long it waits between two questions, and before it connects again, in milliseconds. */
const PAUSE = 10;

/** Asks until it is told not to. */
export class AskingClient implements AsyncDisposable {
  readonly #port: number;
  readonly #done: Promise<void>;
  #isOver = false;
  #connection: Deno.TcpConn | undefined;
  /** How often it has connected. */
  connections = 0;

  constructor(port: number) {
    this.#port = port;
    this.#done = this.#ask();
  }

  async #ask(): Promise<void> {
    let wanted = "0";
    while (!this.#isOver) {
      try {
        using connection = await Deno.connect({ hostname: "127.0.0.1", port: this.#port });
        this.#connection = connection;
        this.connections++;
        while (!this.#isOver) {
          await connection.write(new TextEncoder().encode(`${wanted}\n`));
          wanted = await readLine(connection);
          await pause();
        }
      } catch (error) {
        // Nobody listens, or the server has gone: it comes again.
        if (!(error instanceof Error)) throw error;
      }
      this.#connection = undefined;
      await pause();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    try {
      this.#connection?.close();
    } catch {
      // It has gone by itself.
    }
    await this.#done;
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE));

/** @throws Error where the connection ends before */
async function readLine(connection: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(32);
  let line = "";
  while (!line.endsWith("\n")) {
    const count = await connection.read(buffer);
    if (count === null) throw new Error("the server has closed the connection");
    line += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return line.trim();
}

/** A port that nobody listens on. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}
