/**
 * What the generated modules describe their messages with: descriptors as `@bufbuild/protobuf` has them, made of a
 * table when they are first asked for. The library's own way decodes the whole schema of every module that is
 * imported, and before it the schema of schemas: a fifth of all that a small checkpoint computed.
 *
 * Only what proto2 files like ours have is there: no groups, maps, oneofs, extensions and services; nor the
 * compiler's own descriptors (`proto`), which the library does not look at when it encodes and decodes.
 *
 * @module
 */

import {
  type DescField,
  type DescFile,
  type DescMessage,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import type { GenEnum, GenMessage } from "@bufbuild/protobuf/codegenv2";

/** google.protobuf.Edition.EDITION_PROTO2 (google/protobuf/descriptor.proto). */
const EDITION_PROTO2 = 998;

/** google.protobuf.FeatureSet.FieldPresence: what a label means in proto2 (1 explicit, 2 implicit, 3 required). */
const PRESENCE = { optional: 1, repeated: 2, packed: 2, required: 3 } as const;

/** The types of fields that are neither messages nor enumerations, by their names in schemas. */
const SCALARS = {
  int64: ScalarType.INT64,
  uint64: ScalarType.UINT64,
  int32: ScalarType.INT32,
  fixed64: ScalarType.FIXED64,
  fixed32: ScalarType.FIXED32,
  bool: ScalarType.BOOL,
  string: ScalarType.STRING,
  bytes: ScalarType.BYTES,
  uint32: ScalarType.UINT32,
  sint32: ScalarType.SINT32,
  sint64: ScalarType.SINT64,
} as const;

/** The name of a type of field. */
export type ScalarName = keyof typeof SCALARS;

/** A field, as it stands in the schema; `packed` is a list whose values follow each other without tags. */
export type FieldInit = readonly [
  number: number,
  name: string,
  label: keyof typeof PRESENCE,
  type: ScalarName | GenMessage<Message> | GenEnum<number>,
  defaultValue?: number | bigint | boolean | string,
];

/** What the descriptors of all schemas have in common. */
const SHARED = {
  deprecated: false,
  parent: undefined,
  file: { kind: "file", edition: EDITION_PROTO2 } as DescFile,
};

/**
 * Describes a message.
 *
 * @param typeName its name, with those of the messages that it is declared in
 * @param describe makes the table of its fields, which may lead back to the message
 */
export function message<Shape extends Message>(
  typeName: string,
  describe: () => readonly FieldInit[],
): GenMessage<Shape> {
  let made: DescField[] | undefined;
  const fields = () => made ??= describe().map((init) => makeField(init, descriptor));
  const descriptor = {
    ...SHARED,
    kind: "message",
    typeName,
    name: lastName(typeName),
    oneofs: [],
    nestedEnums: [],
    nestedMessages: [],
    nestedExtensions: [],
    get fields() {
      return fields();
    },
    get members() {
      return fields();
    },
    get field() {
      return Object.fromEntries(fields().map((field) => [field.localName, field]));
    },
    toString: () => `message ${typeName}`,
  } as unknown as GenMessage<Shape>;
  return descriptor;
}

/**
 * Describes an enumeration, which is closed: other numbers than its own are unknown fields.
 *
 * @param typeName its name, with those of the messages that it is declared in
 * @param numbers the generated enumeration, in the order of the schema
 */
export function enumeration<Shape extends number>(
  typeName: string,
  numbers: Readonly<Record<string, Shape | string>>,
): GenEnum<Shape> {
  const values = Object.entries(numbers) // also the names by the numbers
    .filter(([, number]) => typeof number === "number")
    .map(([name, number]) => ({ kind: "enum_value", name, localName: name, number }));
  return {
    ...SHARED,
    kind: "enum",
    typeName,
    name: lastName(typeName),
    open: false,
    values,
    value: Object.fromEntries(values.map((value) => [value.number, value])),
    toString: () => `enum ${typeName}`,
  } as unknown as GenEnum<Shape>;
}

function makeField(
  [number, name, label, type, defaultValue]: FieldInit,
  parent: DescMessage,
): DescField {
  const isScalar = typeof type === "string";
  const kind = isScalar ? "scalar" : type.kind;
  const isList = label === "repeated" || label === "packed";
  return {
    ...SHARED,
    kind: "field",
    number,
    name,
    localName: localName(name),
    jsonName: jsonName(name),
    parent,
    oneof: undefined,
    presence: PRESENCE[label],
    utf8Validation: false,
    fieldKind: isList ? "list" : kind,
    listKind: isList ? kind : undefined,
    packed: isList ? label === "packed" : undefined,
    scalar: isScalar ? SCALARS[type] : undefined,
    message: kind === "message" ? type : undefined,
    enum: kind === "enum" ? type : undefined,
    delimitedEncoding: kind === "message" ? false : undefined,
    longAsString: false,
    getDefaultValue: isList ? undefined : () => defaultValue,
    toString: () => `field ${parent.typeName}.${name}`,
  } as unknown as DescField;
}

function lastName(typeName: string): string {
  return typeName.slice(typeName.lastIndexOf(".") + 1);
}

function jsonName(name: string): string {
  return name.replace(/_+([^_])/g, (_, next: string) => next.toUpperCase()).replace(/_+$/, "");
}

/** A name as a property that no object has by itself. */
function localName(name: string): string {
  const json = jsonName(name);
  return ["constructor", "toString", "toJSON", "valueOf"].includes(json) ? `${json}$` : json;
}
