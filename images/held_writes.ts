/**
 * Writes that are held back: while a target stands still there is no time to encode messages.
 *
 * @module
 */

/** So many bytes that follow messages are held back at most. */
const MOST_EXTRA_HELD = 1 << 20;

/** Does writes at once, or keeps them in their order until there is time. */
export class HeldWrites {
  /** Undefined where everything is written at once. */
  #held: (() => void)[] | undefined;
  /** How many bytes that follow messages are held back with them. */
  #extraHeld = 0;

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
    if (this.#held === undefined) write();
    else this.#held.push(write);
  }

  /** A copy of bytes that are to be kept with a write; undefined where enough are kept already. */
  copy(extra: Uint8Array): Uint8Array | undefined {
    if (this.#extraHeld + extra.length > MOST_EXTRA_HELD) return undefined;
    this.#extraHeld += extra.length;
    return extra.slice();
  }
}
