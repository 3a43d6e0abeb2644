/**
 * A connection by which lines go to and fro.
 *
 * @module
 */

/** What lines go over. */
export interface Duplex {
  /** @returns how many bytes of these */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<number>;
  /** @returns how many have come; null: no more will */
  read(bytes: Uint8Array<ArrayBuffer>): Promise<number | null>;
  close(): void;
}

/** Asks by lines, and reads what comes back line by line. */
export class Lines implements Disposable {
  readonly #connection: Duplex;
  #received = "";

  constructor(connection: Duplex) {
    this.#connection = connection;
  }

  static async connect(port: number): Promise<Lines> {
    return new Lines(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  async send(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }

  /** The next line, without its end. */
  async line(): Promise<string> {
    const bytes = new Uint8Array(65536);
    for (;;) {
      const end = this.#received.indexOf("\n");
      if (end >= 0) {
        const found = this.#received.slice(0, end);
        this.#received = this.#received.slice(end + 1);
        return found.replace(/\r$/, "");
      }
      const count = await this.#connection.read(bytes);
      if (count === null) throw new Error("the server has closed the connection");
      this.#received += new TextDecoder().decode(bytes.subarray(0, count));
    }
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}
