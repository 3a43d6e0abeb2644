/**
 * A server that is tried, and its client.
 *
 * @module
 */
import type { Holdings } from "../endurance/holdings.ts";

/** What a client does once; it throws where something is wrong. */
export type Step = () => Promise<void>;

/** A client: what it does each time, and what it looks at in the end. */
export interface Client extends Disposable {
  readonly step: Step;
  readonly end?: Step;
}

/** A server. */
export interface Trial {
  /** The programs that it takes. */
  readonly needs: readonly string[];
  /** The command that serves, in the foreground. @param room an empty directory, its working directory */
  command(room: string, port: number): Promise<readonly string[]> | readonly string[];
  client(port: number, room: string): Promise<Client>;
  /** How much more it may hold at the end than after a tenth; TARGETS_OWN if absent. */
  readonly own?: Holdings;
  /** The signal that ends it; SIGKILL if absent, which suits all that leave nothing behind. */
  readonly endsBy?: number;
}
