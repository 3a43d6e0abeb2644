/**
 * Makes `images/gen/` from `images/proto/`: run it after a change of a schema. The compiler (buf) and the
 * generator (protoc-gen-es) are npm packages which carry what they need; nothing is installed. The generator's
 * encoded schemas are replaced by tables of fields for {@link message} of `schema.ts`.
 *
 * @module
 */

import {
  createFileRegistry,
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  type FileRegistry,
  fromBinary,
  ScalarType,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const BUF = "npm:@bufbuild/buf@1.74.0";
const GENERATOR = "npm:@bufbuild/protoc-gen-es@2.17.0";
/** google.protobuf.FeatureSet.FieldPresence.LEGACY_REQUIRED (google/protobuf/descriptor.proto). */
const LEGACY_REQUIRED = 3;

const LOCK = new URL("./generate.lock", import.meta.url).pathname;

/** Where the schemas are. */
export const PROTO_DIRECTORY: string = new URL("./proto", import.meta.url).pathname;
/** Where the generated modules are. */
export const GENERATED_DIRECTORY: string = new URL("./gen", import.meta.url).pathname;

/**
 * How their programs are run: with a lock file of their own, for what is in deno.lock is downloaded by everybody who
 * installs Stasis.
 */
const RUN = ["run", "--quiet", "--allow-all", "--no-config", "--frozen", `--lock=${LOCK}`];

async function buf(args: readonly string[]): Promise<Uint8Array> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...RUN, BUF, ...args],
    cwd: PROTO_DIRECTORY,
    stderr: "piped",
  }).output();
  if (!success) {
    throw new Error(
      `buf could not compile the schemas: ${new TextDecoder().decode(stderr).trim()}`,
    );
  }
  return stdout;
}

/**
 * Compiles every schema of {@link PROTO_DIRECTORY} into the library's own descriptors.
 *
 * @throws {Error} Where a schema does not compile, with what the compiler says about it.
 */
export async function compileSchemas(): Promise<FileRegistry> {
  const bytes = await buf(["build", PROTO_DIRECTORY, "--output", "-#format=binpb"]);
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes));
}

/**
 * Compiles every schema of {@link PROTO_DIRECTORY} into a TypeScript module.
 *
 * @param out The directory to write to; what it holds is replaced.
 * @throws {Error} Where a schema does not compile, with what the compiler says about it.
 */
export async function generate(out: string = GENERATED_DIRECTORY): Promise<void> {
  const template = {
    version: "v2",
    clean: true,
    plugins: [{
      local: [Deno.execPath(), ...RUN, GENERATOR],
      out,
      opt: ["target=ts", "import_extension=ts"],
    }],
  };
  await buf(["generate", PROTO_DIRECTORY, "--template", JSON.stringify(template)]);
  for (const file of (await compileSchemas()).files) {
    const path = `${out}/${file.name}_pb.ts`;
    await Deno.writeTextFile(path, withTables(await Deno.readTextFile(path), file));
  }
}

/** A generated module with tables of fields in place of the encoded schema. */
function withTables(text: string, file: DescFile): string {
  const used = new Set<string>();
  const elsewhere = new Map<string, Set<string>>();
  const refer = (type: DescMessage | DescEnum): string => {
    const name = schemaName(type);
    if (type.file !== file) {
      const names = elsewhere.get(type.file.name) ?? new Set();
      elsewhere.set(type.file.name, names.add(name));
    }
    return name;
  };
  const body = text
    .replace(/\/\*\*\n \* Describes the file [^]*?;\n\n/, "")
    .replace(/ {2}(message|enum)Desc\(file_\w+, ([\d, ]+)\);/g, (_, kind: string, path: string) => {
      const indexes = path.split(", ").map(Number);
      used.add(kind === "enum" ? "enumeration" : "message");
      return kind === "enum"
        ? enumOf(findEnum(file, indexes))
        : tableOfFields(findMessage(file.messages, indexes), refer);
    })
    .replace(/^import \{ file_\w+ \} from .*\n/gm, "")
    .replace(
      /^import type \{ (.*?) \} from "@bufbuild\/protobuf\/codegenv2";\n/m,
      (line: string) => line.replace("GenFile, ", ""),
    );
  const imports = [
    `import { ${[...used].sort().join(", ")} } from "../schema.ts";\n`,
    ...[...elsewhere].map(([name, names]) =>
      `import { ${[...names].sort().join(", ")} } from "./${name}_pb.ts";\n`
    ),
  ];
  return body.replace(/^import \{.*\} from "@bufbuild\/protobuf\/codegenv2";\n/m, imports.join(""));
}

function findMessage(messages: readonly DescMessage[], [first, ...path]: number[]): DescMessage {
  const found = messages[first!]!;
  return path.length === 0 ? found : findMessage(found.nestedMessages, path);
}

function findEnum(file: DescFile, path: number[]): DescEnum {
  const last = path.at(-1)!;
  return path.length === 1
    ? file.enums[last]!
    : findMessage(file.messages, path.slice(0, -1)).nestedEnums[last]!;
}

/** The name of the generated descriptor. */
function schemaName(type: DescMessage | DescEnum): string {
  return `${type.typeName.replaceAll(".", "_")}Schema`;
}

function enumOf({ typeName }: DescEnum): string {
  return `  enumeration("${typeName}", ${typeName.replaceAll(".", "_")});`;
}

function tableOfFields(
  type: DescMessage,
  refer: (type: DescMessage | DescEnum) => string,
): string {
  const rows = type.fields.map((field) => `    ${rowOf(field, refer)},\n`);
  return `  message("${type.typeName}", () => [\n${rows.join("")}  ]);`;
}

function rowOf(field: DescField, refer: (type: DescMessage | DescEnum) => string): string {
  const { number, name, scalar } = field;
  if (field.fieldKind === "map" || field.oneof !== undefined) {
    throw new Error(`${field}: schema.ts has no such fields`);
  }
  const label = field.fieldKind === "list"
    ? field.packed ? "packed" : "repeated"
    : field.presence === LEGACY_REQUIRED
    ? "required"
    : "optional";
  const type = scalar === undefined
    ? refer((field.message ?? field.enum)!)
    : `"${ScalarType[scalar].toLowerCase()}"`;
  const row = [number, `"${name}"`, `"${label}"`, type];
  const value = field.fieldKind === "list" ? undefined : field.getDefaultValue();
  if (value !== undefined) {
    row.push(typeof value === "bigint" ? `${value}n` : JSON.stringify(value));
  }
  return `[${row.join(", ")}]`;
}

if (import.meta.main) await generate();
