import assert from "@std/assert";
import { defineCommand } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { manPage } from "./man_page.ts";

Deno.test("manPage() has every command, option and example", () => {
  const page = manPage(COMMANDS, "1.2.3");
  assert.match(page, /^\.TH STASIS 1 "" "stasis 1\.2\.3"/);
  assert.ok(page.includes("\\fB\\-v\\fR[\\fIlevel\\fR], \\fB\\-\\-verbose\\fR[=\\fIlevel\\fR]"));
  for (const { name, options, examples } of COMMANDS) {
    assert.ok(page.includes(`.SS \\fBstasis ${name}\\fR`), name);
    for (const { flags } of Object.values(options)) {
      const long = flags.replace(/^.*?--([\w-]+).*$/, "--$1").replaceAll("-", "\\-");
      assert.ok(page.includes(`\\fB${long}\\fR`), flags);
    }
    for (const [line] of examples) {
      assert.ok(page.includes(`\\fB${line.replaceAll("-", "\\-")}\\fR`), line);
    }
  }
});

Deno.test("manPage() has no text that roff takes for its own", () => {
  const odd = defineCommand({
    name: "odd",
    summary: "",
    description: ".so /etc/passwd\n'ig\na\\b",
    options: {},
    examples: [],
    run: () => Promise.resolve(),
  });
  const page = manPage([odd], "1");
  assert.ok(page.includes("\\&.so /etc/passwd\n\\&'ig\na\\eb"));
});
