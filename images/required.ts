/**
 * Finds required fields that a decoded message lacks. `@bufbuild/protobuf` checks them when it encodes and not
 * when it decodes, so a hostile or older image would otherwise read as zeros.
 *
 * @module
 */

import type { DescField, DescMessage, MessageShape } from "@bufbuild/protobuf";

/** FeatureSet.FieldPresence.LEGACY_REQUIRED of google/protobuf/descriptor.proto: proto2's `required`. */
export const LEGACY_REQUIRED = 3;

/** What a message type needs to be looked at for; worked out once for each type. */
interface Plan {
  readonly required: readonly DescField[];
  /** Fields that hold messages in which something may be missing. */
  readonly nested: readonly {
    readonly name: string;
    readonly list: boolean;
    readonly of: DescMessage;
  }[];
}

const plans = new WeakMap<DescMessage, Plan>();

function planOf(schema: DescMessage): Plan {
  let plan = plans.get(schema);
  if (plan === undefined) {
    plan = {
      required: schema.fields.filter((field) => field.presence === LEGACY_REQUIRED),
      nested: schema.fields.flatMap((field) =>
        field.message === undefined || field.fieldKind === "map" || !mayLack(field.message)
          ? []
          : [{
            name: field.localName,
            list: field.fieldKind === "list",
            of: field.message,
          }]
      ),
    };
    plans.set(schema, plan);
  }
  return plan;
}

/** Whether a message type, or one that it holds, has required fields. */
function mayLack(schema: DescMessage, seen: ReadonlySet<DescMessage> = new Set()): boolean {
  if (seen.has(schema)) return false;
  const above = new Set([...seen, schema]);
  return schema.fields.some(({ presence, message }) =>
    presence === LEGACY_REQUIRED || message !== undefined && mayLack(message, above)
  );
}

/** A required field that is not there. */
export interface MissingField {
  /** The type of the message that lacks it. */
  readonly message: string;
  /** The field's name in the schema. */
  readonly field: string;
}

/**
 * Looks for a required field that is missing, in the message and in all that it holds.
 *
 * @param complete a list of the message in which nothing is missing
 * @returns The first one, or undefined where nothing is missing.
 */
export function missingRequired<Schema extends DescMessage>(
  schema: Schema,
  message: MessageShape<Schema>,
  complete?: string,
): MissingField | undefined {
  return look(schema, message as unknown as Readonly<Record<string, unknown>>, complete);
}

function look(
  schema: DescMessage,
  message: Readonly<Record<string, unknown>>,
  complete?: string,
): MissingField | undefined {
  const plan = planOf(schema);
  for (const field of plan.required) {
    // A field that was not set shows its default through the prototype: only an own one was in the bytes.
    if (!Object.hasOwn(message, field.localName)) {
      return { message: schema.typeName, field: field.name };
    }
  }
  for (const { name, list, of } of plan.nested) {
    const value = message[name];
    if (value === undefined || name === complete) continue;
    for (const one of list ? value as unknown[] : [value]) {
      const missing = look(of, one as Readonly<Record<string, unknown>>);
      if (missing !== undefined) return missing;
    }
  }
  return undefined;
}
