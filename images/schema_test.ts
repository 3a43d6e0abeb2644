import assert from "@std/assert";
import type { DescEnum, DescField, DescMessage } from "@bufbuild/protobuf";
import { compileSchemas, GENERATED_DIRECTORY } from "./generate.ts";

/** What a field is, without what it leads to. */
function describeField(field: DescField): unknown {
  const { kind, name, number, localName, jsonName, presence, utf8Validation, fieldKind } = field;
  const { listKind, packed, longAsString, delimitedEncoding, getDefaultValue } =
    field as unknown as Partial<
      Record<string, unknown>
    >;
  return {
    ...{ kind, name, number, localName, jsonName, presence, utf8Validation, fieldKind },
    ...{ listKind, packed, delimitedEncoding, longAsString: longAsString ?? false },
    scalar: field.scalar,
    text: String(field),
    parent: field.parent.typeName,
    oneof: field.oneof,
    message: field.message?.typeName,
    enum: field.enum && describeEnum(field.enum),
    value: (getDefaultValue as (() => unknown) | undefined)?.(),
  };
}

function describeEnum({ kind, typeName, name, open, values, value, file }: DescEnum): unknown {
  const pick = (one: typeof values[number]) => [one.kind, one.name, one.localName, one.number];
  const byNumber = Object.entries(value).map(([number, one]) => [number, pick(one)]);
  return { kind, typeName, name, open, values: values.map(pick), byNumber, edition: file.edition };
}

function describeMessage(type: DescMessage): unknown {
  const { kind, typeName, name, fields, members, field, oneofs, file } = type;
  return {
    ...{ kind, typeName, name, text: String(type), edition: file.edition, oneofs },
    fields: fields.map(describeField),
    members: members.map((member) => member.localName),
    field: Object.entries(field).map(([localName, one]) => [localName, one.number]),
  };
}

Deno.test("message() and enumeration() make what the library makes of the schemas", async () => {
  const { files } = await compileSchemas();
  const found = new Map<string, DescMessage>();
  for (const { name } of files) {
    const module: Record<string, DescMessage> = await import(
      `${GENERATED_DIRECTORY}/${name}_pb.ts`
    );
    for (const type of Object.values(module)) {
      if (type.kind === "message") found.set(type.typeName, type);
    }
  }
  const compare = (expected: DescMessage) => {
    const type = found.get(expected.typeName)!;
    assert.deepEqual(describeMessage(type), describeMessage(expected));
    for (const { message } of type.fields) {
      if (message !== undefined) assert.equal(message, found.get(message.typeName));
    }
    expected.nestedMessages.forEach(compare);
  };
  assert.ok(found.size > 70, `${found.size} messages`);
  for (const { messages } of files) messages.forEach(compare);
});
