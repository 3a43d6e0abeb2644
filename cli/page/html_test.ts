import { deepEqual, equal, match } from "@std/assert";
import { renderPage } from "./html.ts";
import { type PageModel, printableTexts } from "./model.ts";

const HOSTILE = `</script><script>alert(1)</script><!--`;
const model: PageModel = {
  directory: HOSTILE,
  version: 1,
  plugins: [],
  tasks: [],
  images: [],
  size: 1n << 60n,
  graph: { objects: [], edges: [], links: [] },
  memory: { saved: 0, runs: [], bytes: "" },
};

Deno.test("renderPage() has two scripts and no others, whatever the images say", async () => {
  const page = await renderPage(model);
  equal(page.match(/<script/g)?.length, 2);
  equal(page.match(/<\/script>/g)?.length, 2);
  const data = /<script type="application\/json" id="data">([^<]*)<\/script>/.exec(page)?.[1];
  equal(JSON.parse(data ?? "").directory, HOSTILE);
});

Deno.test("renderPage() allows its own script and style by their hashes, and nothing to be loaded", async () => {
  const page = await renderPage(model);
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1] ?? "";
  match(policy, /default-src 'none'/);
  for (
    const [kind, pattern] of [["script", /<script>([^]*?)<\/script>/], [
      "style",
      /<style>([^]*?)<\/style>/,
    ]] as const
  ) {
    const text = new TextEncoder().encode(pattern.exec(page)?.[1]);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text)).toBase64();
    equal(policy.includes(`${kind}-src 'sha256-${digest}'`), true, kind);
  }
});

Deno.test("printableTexts() writes out controls and signs that turn text around, and keeps the rest", () => {
  deepEqual(printableTexts({ a: ["x\x1b[2Jy", 1n, null], b: "\u202egnp.exe\u200b é" }), {
    a: ["x\\x1b[2Jy", 1n, null],
    b: "\\u202egnp.exe\\u200b é",
  });
});
