/**
 * Finds text in messages by what it is.
 *
 * @module
 */

import { type DescMessage, type MessageShape, ScalarType } from "@bufbuild/protobuf";

/** Where a message type has text; worked out once for each type. */
interface Plan {
  readonly texts: readonly string[];
  /** Fields that hold messages which may have text themselves. */
  readonly nested: readonly { readonly name: string; readonly of: DescMessage }[];
}

const plans = new WeakMap<DescMessage, Plan>();

function planOf(schema: DescMessage): Plan {
  let plan = plans.get(schema);
  if (plan === undefined) {
    plan = {
      texts: schema.fields.filter((field) => field.scalar === ScalarType.STRING)
        .map((field) => field.localName),
      nested: schema.fields.flatMap((field) =>
        field.message === undefined || !mayHaveText(field.message)
          ? []
          : [{ name: field.localName, of: field.message }]
      ),
    };
    plans.set(schema, plan);
  }
  return plan;
}

/** Whether a message type, or one that it holds, has text: an address space has thousands of mappings without. */
function mayHaveText(schema: DescMessage, seen: ReadonlySet<DescMessage> = new Set()): boolean {
  if (seen.has(schema)) return false;
  const above = new Set([...seen, schema]);
  return schema.fields.some(({ scalar, message }) =>
    scalar === ScalarType.STRING || message !== undefined && mayHaveText(message, above)
  );
}

/**
 * Looks for a text in a message and in all that it holds.
 *
 * @param wanted Says whether a text is one.
 * @returns The first such text, or undefined.
 */
export function findText<Schema extends DescMessage>(
  schema: Schema,
  message: MessageShape<Schema>,
  wanted: (text: string) => boolean,
): string | undefined {
  return look(schema, message as unknown as Readonly<Record<string, unknown>>, wanted);
}

function look(
  schema: DescMessage,
  message: Readonly<Record<string, unknown>>,
  wanted: (text: string) => boolean,
): string | undefined {
  const plan = planOf(schema);
  for (const name of plan.texts) {
    for (const text of many(message[name])) if (wanted(text as string)) return text as string;
  }
  for (const { name, of } of plan.nested) {
    for (const one of many(message[name])) {
      const found = look(of, one as Readonly<Record<string, unknown>>, wanted);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function many(value: unknown): readonly unknown[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}
