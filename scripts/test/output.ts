/**
 * Where what a step prints goes: to the terminal at once, or held back until the step beside which it is made has
 * printed its own.
 *
 * @module
 */

/** Takes what a step prints. */
export interface Output {
  /** How a program is to be started that {@link take} is called with. */
  readonly stdio: "inherit" | "piped";
  print(line: string): void;
  /** Takes what a program prints, until all who have its ends are gone. */
  take(child: Deno.ChildProcess): Promise<void>;
}

/** The terminal. */
export const TERMINAL: Output = {
  stdio: "inherit",
  print: (line) => console.log(line),
  take: () => Promise.resolve(),
};

/** Holds everything until {@link HeldOutput.release}, and hands it on from then on. */
export class HeldOutput implements Output {
  readonly stdio = "piped";
  readonly #write: (bytes: Uint8Array) => void;
  #held: Uint8Array[] | undefined = [];

  /** @param write takes bytes that are to be seen */
  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  print(line: string): void {
    this.#put(new TextEncoder().encode(`${line}\n`));
  }

  async take(child: Deno.ChildProcess): Promise<void> {
    await Promise.all([child.stdout, child.stderr].map(async (stream) => {
      for await (const bytes of stream) this.#put(bytes);
    }));
  }

  /** Prints what was held. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const bytes of held) this.#write(bytes);
  }

  #put(bytes: Uint8Array): void {
    if (this.#held === undefined) this.#write(bytes);
    else this.#held.push(bytes);
  }
}
