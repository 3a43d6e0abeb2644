/** The imports of the sources: they point one way, types included, and never in a circle. */
import { deepStrictEqual } from "node:assert/strict";
import { dirname, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const TOP = fileURLToPath(new URL("..", import.meta.url));
/** What each layer may import from, itself apart. What is not listed may import everything. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  base: [],
  images: ["base"],
  core: ["base", "images"],
  plugins: ["base", "images", "core"],
  jobs: ["base", "images", "core", "mod.ts"],
};

/** Every source file (no tests) with the files of the repository that it imports. */
function readImports(): Map<string, string[]> {
  const imports = new Map<string, string[]>();
  const walk = (folder: string): void => {
    for (const { name, isDirectory } of Deno.readDirSync(`${TOP}/${folder}`)) {
      const path = normalize(`${folder}/${name}`);
      if (isDirectory) {
        if (!name.startsWith(".")) walk(path);
        continue;
      }
      if (!name.endsWith(".ts") || name.endsWith("_test.ts")) continue;
      const text = Deno.readTextFileSync(`${TOP}/${path}`);
      const found = text.matchAll(
        /^(?:import|export|\} from)\b[^"\n]*"(\.[^"]+)"|import\("(\.[^"]+)"\)/gm,
      );
      imports.set(path, [...found].map(([, a, b]) => normalize(`${dirname(path)}/${a ?? b}`)));
    }
  };
  walk(".");
  return imports;
}

/** The first circle that is found, as a list of files; undefined if there is none. */
function findCircle(imports: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of imports.get(file) ?? []) {
      const circle = visit(next, [...way, file]);
      if (circle !== undefined) return circle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of imports.keys()) {
    const circle = visit(file, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

Deno.test("sources import nothing in a circle", () => {
  const imports = readImports();
  deepStrictEqual(imports.get("cli/main.ts"), ["cli/run.ts"], "imports are found");
  deepStrictEqual(findCircle(imports), undefined);
});

Deno.test("sources import only from the layers below them", () => {
  const upwards: string[] = [];
  for (const [file, targets] of readImports()) {
    const layer = file.split("/")[0] as string;
    const below = BELOW[layer];
    if (below === undefined) continue;
    for (const target of targets) {
      const other = target.split("/")[0] as string;
      if (other !== layer && !below.includes(other)) upwards.push(`${file} imports ${target}`);
    }
  }
  deepStrictEqual(upwards, []);
});
