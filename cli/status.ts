/**
 * The exit status of a command.
 *
 * @module
 */

/** Takes the exit status of a command that ends with another than 0 without having failed. */
export type SetStatus = (status: number) => void;
