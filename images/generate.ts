/**
 * Makes `images/gen/` from `images/proto/`: run it after a change of a schema. The compiler (buf) and the
 * generator (protoc-gen-es) are npm packages which carry what they need; nothing is installed.
 *
 * @module
 */

const BUF = "npm:@bufbuild/buf@1.74.0";
const GENERATOR = "npm:@bufbuild/protoc-gen-es@2.17.0";

/** Where the schemas are. */
export const PROTO_DIRECTORY: string = new URL("./proto", import.meta.url).pathname;
/** Where the generated modules are. */
export const GENERATED_DIRECTORY: string = new URL("./gen", import.meta.url).pathname;

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
      local: [Deno.execPath(), "run", "--quiet", "--allow-all", GENERATOR],
      out,
      opt: ["target=ts", "import_extension=ts"],
    }],
  };
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", BUF, "generate", PROTO_DIRECTORY].concat(
      "--template",
      JSON.stringify(template),
    ),
    cwd: PROTO_DIRECTORY,
    stdout: "inherit",
    stderr: "piped",
  }).output();
  if (!success) {
    throw new Error(
      `buf could not compile the schemas: ${new TextDecoder().decode(stderr).trim()}`,
    );
  }
}

if (import.meta.main) await generate();
