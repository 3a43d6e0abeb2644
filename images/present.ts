/**
 * Optional fields. A message answers with the type's zero for a scalar that its image does not have, so a
 * plain look cannot tell the two apart; whether the message itself has the property does.
 *
 * @module
 */
import type { Message } from "@bufbuild/protobuf";

/** The value of an optional field; undefined where the message has none. */
export function present<M extends Message, Field extends Exclude<keyof M, keyof Message>>(
  message: M | undefined,
  field: Field,
): M[Field] | undefined {
  return message !== undefined && Object.hasOwn(message, field) ? message[field] : undefined;
}
