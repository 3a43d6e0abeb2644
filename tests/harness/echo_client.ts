/**
 * A client of a server that sends back what it gets, and that must notice nothing of what is done to it.
 *
 * @module
 */
import assert from "@std/assert";
import { waitUntil } from "./processes.ts";

/** Sends bytes that are told apart by their place, as fast as it may, and compares what comes back. */
export class EchoClient {
  readonly #connection: Deno.TcpConn;
  readonly #receiving: Promise<void>;
  readonly #sending: Promise<void>;
  #ended = false;
  /** How many bytes were sent, and have come back. */
  sent = 0;
  received = 0;

  constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    this.#sending = this.#send();
    this.#receiving = this.#receive();
    // Who waits for them is told later.
    for (const one of [this.#sending, this.#receiving]) one.catch(() => {});
  }

  static async connect(port: number, hostname: string): Promise<EchoClient> {
    return new EchoClient(await Deno.connect({ hostname, port }));
  }

  async #send(): Promise<void> {
    const bytes = new Uint8Array(10_000);
    while (!this.#ended) {
      for (let at = 0; at < bytes.length; at++) bytes[at] = (this.sent + at) % 253;
      this.sent += await this.#connection.write(bytes);
      if (this.sent % 253 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await this.#connection.closeWrite();
  }

  async #receive(): Promise<void> {
    for await (const bytes of this.#connection.readable) {
      for (const byte of bytes) {
        if (byte !== this.received % 253) {
          throw new Error(`byte ${this.received} is ${byte}`);
        }
        this.received++;
      }
    }
  }

  /** Waits until more has come back than by now. */
  async goesOn(): Promise<void> {
    const before = this.received;
    await waitUntil(() => this.received > before + 1000, () => `bytes after ${before}`, 20_000);
  }

  /** Ends it: all that was sent must have come back. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#sending;
    await this.#receiving;
    assert.equal(this.received, this.sent);
  }
}
