/**
 * Writes that are held back: while a target stands still there is no time to encode messages.
 *
 * @module
 */

/** So many bytes that follow messages are held back at most. */
const MOST_EXTRA_HELD = 1 << 20;

/** So many writes are held back at most: of thousands of tasks the messages would be the most of the memory. */
const MOST_HELD = 2048;

/** Does writes at once, or keeps them in their order until there is time. */
export class HeldWrites {
  /** Undefined where everything is written at once. */
  #held: (() => void)[] | undefined;
  /** How many bytes that follow messages are held back with them. */
  #extraHeld = 0;
  readonly #most: number;

  /** @param most how many are kept; when there are more, all are done */
  constructor(most = MOST_HELD) {
    this.#most = most;
  }

  /** From now on they are kept. */
  hold(): void {
    this.#held ??= [];
  }

  /** Whether they are kept. */
  get isHolding(): boolean {
    return this.#held !== undefined;
  }

  /** Does what was kept; what follows is done at once again. */
  writeAll(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#extraHeld = 0;
    for (const write of held) write();
  }

  /** Does one write, or keeps it. */
  add(write: () => void): void {
    if (this.#held === undefined) return write();
    this.#held.push(write);
    if (this.#held.length < this.#most) return;
    this.writeAll();
    this.hold();
  }

  /** A copy of bytes that are to be kept with a write; undefined where enough are kept already. */
  copy(extra: Uint8Array): Uint8Array | undefined {
    if (this.#extraHeld + extra.length > MOST_EXTRA_HELD) return undefined;
    this.#extraHeld += extra.length;
    return extra.slice();
  }
}
