/**
 * What it means for connections that their packets were held back for long, for people. Pure.
 *
 * @module
 */

/** What the other end of a connection tries as a rule until it gives up: net.ipv4.tcp_retries2 of 15, in seconds. */
const PATIENCE = 924;
const MINUTE = 60, HOUR = 3600, DAY = 86_400;

/**
 * @param since when the packets began to be held back, in seconds; 0 where the images do not tell
 * @param now in seconds, by the same clock
 * @param count how many connections have their other end outside of the tree
 * @returns undefined where every other end waits still
 */
export function heldBackNote(since: number, now: number, count: number): string | undefined {
  const seconds = now - since;
  if (since === 0 || count === 0 || seconds < PATIENCE) return undefined;
  const those = count === 1 ? "1 connection" : `${count} connections`;
  return `the packets of ${those} to outside have been held back for ${
    inWords(seconds)
  }: another end that had ` +
    "something to send has given up after 15 minutes or so (net.ipv4.tcp_retries2 there), and the program gets " +
    "ECONNRESET with what it sends next; one that was idle goes on, unless its keepalive says otherwise";
}

function inWords(seconds: number): string {
  if (seconds < 2 * HOUR) return `${Math.floor(seconds / MINUTE)} minutes`;
  return seconds < 2 * DAY
    ? `${Math.floor(seconds / HOUR)} hours`
    : `${Math.floor(seconds / DAY)} days`;
}
