/**
 * The page of `stasis inspect --html` as one file: it loads nothing, and runs nothing but its own script.
 *
 * @module
 */
import { toJson } from "../../base/json.ts";
import type { PageModel } from "./model.ts";
import script from "./page.js" with { type: "text" };
import style from "./page.css" with { type: "text" };

/**
 * Writes the page. Nothing of a program becomes markup: the data is a script element of a type that browsers do not
 * run, in which no `<` is left, and the policy allows no script and no style but the two that are known by their hashes.
 */
export async function renderPage(model: PageModel): Promise<string> {
  const data = toJson(model).replaceAll("<", "\\u003c");
  const [scriptHash, styleHash] = await Promise.all([script, style].map(hash));
  const policy =
    `default-src 'none'; script-src ${scriptHash}; style-src ${styleHash}; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Stasis checkpoint</title>
<style>${style}</style>
</head>
<body>
<noscript>This page shows its data by a script: allow scripts for it.</noscript>
<script type="application/json" id="data">${data}</script>
<script>${script}</script>
</body>
</html>
`;
}

async function hash(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `'sha256-${new Uint8Array(digest).toBase64()}'`;
}
