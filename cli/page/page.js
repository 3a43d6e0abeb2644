// What the page of `stasis inspect --html` does in a browser. All that comes from the images becomes text, never
// markup: nodes are made one by one, and nothing here reads HTML.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const PAGE = 4096;
/** More rows than these make a browser slow; search finds the others. */
const MOST_ROWS = 2000, MOST_NODES = 400, MOST_RESULTS = 200, MOST_PRINTED = 100;
const SVG = "http://www.w3.org/2000/svg";

/** An element. What is no element among its children is text. */
function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((one) => one !== undefined));
  return element;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${unit > 0 && bytes < 9.95 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

const count = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

function table(heads, rows) {
  const shown = rows.slice(0, MOST_ROWS);
  return [
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
        h(
          "tbody",
          {},
          shown.map(({ id, cells }) =>
            h("tr", { id, tabindex: "-1" }, cells.map((cell) => h("td", {}, cell ?? "")))
          ),
        ),
      ),
    ),
    ...rows.length > shown.length
      ? [h("p", { class: "dim" }, `and ${rows.length - shown.length} more`)]
      : [],
  ];
}

/** A heading and what is below it; nothing where there is nothing. */
function part(title, level, ...content) {
  const children = content.flat();
  return children.length === 0 ? [] : [h(`h${level}`, {}, title), ...children];
}

const byPid = new Map(data.tasks.map((task) => [task.pid, task]));
const nameOf = (pid) => `${pid} ${byPid.get(pid)?.comm ?? ""}`;
const processLink = (pid) =>
  byPid.has(pid) ? h("a", { href: `#process-${pid}` }, nameOf(pid)) : String(pid);

// --- the process tree

/** Lists in lists; how deep a tree is has no limit, so not by recursion. */
function tree() {
  const lists = new Map();
  const top = h("ul", { class: "tree", "aria-label": "Processes" });
  for (const task of data.tasks) {
    const threads = task.state === "zombie" ? "" : `  ${count(task.threads.length, "thread")}`;
    const sud = task.threads.some((thread) => thread.sud !== null) ? "  SUD" : "";
    const state = task.state === "alive" ? "" : `  ${task.state}`;
    const item = h(
      "li",
      {},
      h(
        "a",
        { href: `#process-${task.pid}` },
        `${task.pid} ${task.comm}`,
        h("span", { class: "dim" }, `${threads}${sud}${state}`),
      ),
    );
    let list = top;
    if (byPid.has(task.ppid) && lists.has(task.ppid)) {
      const parent = lists.get(task.ppid);
      if (parent.list === undefined) parent.item.append(parent.list = h("ul"));
      list = parent.list;
    }
    list.append(item);
    lists.set(task.pid, { item, list: undefined });
  }
  return top;
}

/** The arrow keys go from process to process. */
function walk(event) {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const links = [...event.currentTarget.querySelectorAll("a")];
  const next = links[links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1)];
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
}

// --- a process

function sudText(sud) {
  if (sud === null) return "off";
  const range = sud.length === 0 ? "empty range" : `${sud.offset} + ${sud.length} bytes`;
  return `${sud.mode}, ${range}, ${
    sud.selector === null ? "no selector" : `selector ${sud.selector}`
  }`;
}

function facts(task) {
  const rows = [
    ["State", task.state + (task.exitStatus === undefined ? "" : `, status ${task.exitStatus}`)],
    ["Parent", processLink(task.ppid)],
    ["Group, session", `${task.pgid}, ${task.sid}`],
    ["Command", task.args?.join(" ")],
    ["Program", task.exe],
    ["Control groups", task.groups?.join(", ")],
    ["Waiting signals", task.waiting?.join(" ")],
    ["Memory", shares(task.memoryOf, task.pid)],
    ["Descriptors", shares(task.filesOf, task.pid)],
  ];
  return h(
    "dl",
    {},
    rows.filter(([, value]) => value !== undefined)
      .flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );
}

function shares(owner, pid) {
  return owner === undefined || owner === pid
    ? undefined
    : h("span", {}, "that of ", processLink(owner));
}

function threads(task) {
  const rows = task.threads.map((thread) => ({
    id: `process-${task.pid}-thread-${thread.tid}`,
    cells: [
      String(thread.tid),
      thread.comm,
      thread.uid === undefined ? "" : `${thread.uid}:${thread.gid}`,
      sudText(thread.sud),
      seccomp(thread),
      thread.ip,
      thread.sp,
      thread.blocked?.join(" "),
      thread.waiting?.join(" "),
      thread.signalStack,
    ],
  }));
  const heads = ["Thread", "Name", "User:group", "Syscall User Dispatch", "Seccomp", "Instruction"];
  return table([...heads, "Stack", "Blocks", "Waiting signals", "Signal stack"], rows);
}

function seccomp(thread) {
  if (thread.seccomp === undefined) return "";
  const filters = (thread.filters ?? []).flatMap((
    index,
  ) => [" ", h("a", { href: `#filter-${index}` }, String(index))]);
  return h("span", {}, thread.seccomp, ...filters);
}

function memory(task) {
  const { pid, mappings } = task;
  if (mappings.length === 0) return [];
  const largest = [...mappings].sort((a, b) => b.size - a.size).slice(0, MOST_ROWS);
  const drawn = new Set(largest);
  const saved = (mapping) => mapping.runs.reduce((sum, [, pages]) => sum + pages, 0);
  const strip = h(
    "div",
    { class: "strip", "aria-hidden": "true" },
    mappings.filter((one) => drawn.has(one)).map((mapping) => {
      const part = h("span");
      part.style.height = `${Math.min(100, saved(mapping) * PAGE * 100 / mapping.size)}%`;
      const link = h("a", {
        href: `#process-${pid}-mapping-${mapping.start}`,
        title: `${mapping.start}-${mapping.end} ${mapping.name}`,
        tabindex: "-1",
      }, part);
      link.style.flexGrow = String(mapping.size);
      link.style.flexBasis = "0";
      return link;
    }),
  );
  const most = largest[0].size;
  const rows = mappings.slice(0, MOST_ROWS).map((mapping) => {
    const bar = pagesBar(mapping);
    bar.style.width = `${Math.max(1, mapping.size * 100 / most)}%`;
    const holder = h("div");
    const details = h(
      "details",
      {
        id: `process-${pid}-mapping-${mapping.start}`,
        tabindex: "-1",
        ontoggle() {
          if (details.open && !holder.hasChildNodes()) holder.append(...pages(task, mapping));
        },
      },
      h(
        "summary",
        {},
        `${mapping.start.slice(2)}-${mapping.end.slice(2)} ${mapping.permissions}  ${
          size(mapping.size)
        }, ${size(saved(mapping) * PAGE)} saved  ${mapping.name}`,
      ),
      bar,
      holder,
    );
    return details;
  });
  const key = h(
    "p",
    { class: "key dim" },
    h("span", { class: "mapped" }),
    "mapped",
    h("span", { class: "saved" }),
    "saved",
    h("span", { class: "common" }),
    "saved in common with others",
  );
  const title = `${count(mappings.length, "mapping")}, ${size(task.mappedBytes)} mapped`;
  const rest = mappings.length - rows.length;
  return [
    h("p", { class: "dim" }, `${title}; each as wide as it is large, gaps left out`),
    strip,
    key,
    ...rows,
    ...rest > 0 ? [h("p", { class: "dim" }, `and ${rest} more`)] : [],
  ];
}

/** Which pages are saved, to scale. */
function pagesBar({ size, runs }) {
  const total = size / PAGE;
  const bar = svg("svg", {
    class: "bar",
    viewBox: `0 0 ${total} 1`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  for (const [first, pages, common] of runs.slice(0, MOST_ROWS)) {
    const width = Math.max(pages, total / 1000);
    bar.append(
      svg("rect", {
        class: common ? "common" : "saved",
        x: first,
        y: 0,
        width,
        height: 1,
      }),
    );
  }
  return bar;
}

const hex = (address) => `0x${address.toString(16)}`;

/** Where the pages that are here lie in the inflated bytes: of each process by address. */
const contents = (() => {
  const found = new Map();
  let offset = 0;
  for (const [pid, start, pages] of data.memory.runs) {
    if (!found.has(pid)) found.set(pid, []);
    found.get(pid).push({ start: BigInt(start), pages, offset });
    offset += pages * PAGE;
  }
  return found;
})();

let inflated;

function inflate() {
  inflated ??= (async () => {
    const deflated = Uint8Array.from(atob(data.memory.bytes), (one) => one.charCodeAt(0));
    const stream = new Blob([deflated]).stream()
      .pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  })();
  return inflated;
}

/** The pages of a mapping, one at a time. */
function pages(task, mapping) {
  const start = BigInt(mapping.start), end = BigInt(mapping.end);
  const here = [];
  for (const run of contents.get(task.pid) ?? []) {
    for (let page = 0; page < run.pages; page++) {
      const address = run.start + BigInt(page * PAGE);
      if (address >= start && address < end) {
        here.push({ address, offset: run.offset + page * PAGE });
      }
    }
  }
  const total = mapping.runs.reduce((sum, [, pages]) => sum + pages, 0);
  const about = [];
  if (mapping.sharedWith.length > 0) {
    about.push(h(
      "p",
      {},
      "shared with ",
      ...mapping.sharedWith.flatMap((pid, index) => [index > 0 ? ", " : "", processLink(pid)]),
    ));
  }
  if (here.length < total) {
    const text = `${count(total - here.length, "page")} of ${total} ${
      total - here.length === 1 ? "is" : "are"
    } in the images, but not on this page: stasis inspect --core ${task.pid} has all`;
    about.push(h("p", { class: "dim" }, text));
  }
  if (here.length === 0) {
    return [...about, h("p", { class: "dim" }, "no page to show")];
  }
  const view = h("pre", { tabindex: "0", "aria-live": "polite" });
  const field = h("input", { "aria-label": "Address", size: "18", spellcheck: "false" });
  let at = 0;
  const show = async (index) => {
    at = Math.min(Math.max(index, 0), here.length - 1);
    const { address, offset } = here[at];
    field.value = hex(address);
    const bytes = (await inflate()).subarray(offset, offset + PAGE);
    view.textContent = hexLines(address, bytes);
    place.textContent = `page ${at + 1} of ${here.length}`;
  };
  const place = h("span", { class: "dim" });
  const controls = h(
    "form",
    {
      class: "pages",
      onsubmit(event) {
        event.preventDefault();
        let wanted;
        try {
          wanted = BigInt(field.value);
        } catch {
          return;
        }
        const index = here.findIndex(({ address }) => address + BigInt(PAGE) > wanted);
        show(index < 0 ? here.length - 1 : index);
      },
    },
    h("button", { type: "button", onclick: () => show(at - 1) }, "Previous"),
    h("button", { type: "button", onclick: () => show(at + 1) }, "Next"),
    field,
    h("button", { type: "submit" }, "Go"),
    place,
  );
  show(0);
  return [...about, controls, view];
}

function hexLines(address, bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const digits = row.map((byte) => byte.toString(16).padStart(2, "0"));
    const text = row.map((byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".");
    lines.push(
      `${(address + BigInt(at)).toString(16).padStart(12, "0")}  ${digits.slice(0, 8).join(" ")}  ${
        digits.slice(8).join(" ")
      }  ${text.join("")}`,
    );
  }
  return lines.join("\n");
}

function descriptors(task) {
  const rows = task.descriptors.map((one) => ({
    id: `process-${task.pid}-fd-${one.fd}`,
    cells: [String(one.fd), one.kind, one.what, one.closeOnExec ? "close-on-exec" : ""],
  }));
  return rows.length === 0 ? [] : table(["Number", "Kind", "What", ""], rows);
}

const list = (lines = []) =>
  lines.length === 0 ? [] : [h("ul", {}, lines.map((line) => h("li", {}, line)))];

function process(task) {
  const locks = (task.locks ?? []).map(({ fd, what }) => ({ cells: [String(fd), what] }));
  const actions = (task.actions ?? []).map(({ signal, what }) => ({ cells: [signal, what] }));
  return h(
    "section",
    { id: `process-${task.pid}`, tabindex: "-1" },
    h("h2", {}, `${task.pid} ${task.comm}`),
    facts(task),
    ...task.threads.length > 0 ? part("Threads", 3, threads(task)) : [],
    ...part("Memory", 3, memory(task)),
    ...part("Descriptors", 3, descriptors(task)),
    ...part("Locks", 3, locks.length > 0 ? table(["Descriptor", "What"], locks) : []),
    ...part("Signals", 3, actions.length > 0 ? table(["Signal", "Action"], actions) : []),
    ...part("Timers", 3, list(task.timers)),
  );
}

// --- connections

/** Processes on the left, what they hold on the right, and what belongs together by dashed lines. */
function connections() {
  const { objects, edges, links } = data.graph;
  if (edges.length === 0) return [];
  const shown = objects.slice(0, MOST_NODES);
  const keys = new Map(shown.map(({ key }, index) => [key, index]));
  const lines = edges.filter(({ object }) => keys.has(object));
  const pids = [...new Set(lines.map(({ pid }) => pid))];
  const row = 34, left = 240, middle = 260, right = 420;
  const rows = Math.max(pids.length, shown.length);
  const width = left + middle + right + 60;
  const at = (index, total) => (index + 0.5) * rows * row / total;
  const leftOf = (pid) => at(pids.indexOf(pid), pids.length);
  const rightOf = (key) => at(keys.get(key), shown.length);
  /** Most say themselves what they are. */
  const titleOf = (kind, what) =>
    what.startsWith(kind.split(" ").at(-1)) ? what : `${kind}  ${what}`;
  const short = (text, most) => text.length > most ? `${text.slice(0, most - 1)}…` : text;
  const picture = svg(
    "svg",
    { class: "graph", width, height: rows * row, role: "img", "aria-label": "Connections" },
    lines.map(({ pid, object }) => {
      const [y, to] = [leftOf(pid), rightOf(object)];
      const bend = left + middle / 2;
      return svg("path", {
        d: `M${left} ${y} C${bend} ${y} ${bend} ${to} ${left + middle} ${to}`,
      });
    }),
    lines.map(({ pid, object, fds, direction }, index) => {
      // Numbers stand on their line, at different places along it, so that few lie over each other.
      const t = 0.2 + 0.6 * ((index * 0.618) % 1);
      const curve = t * t * (3 - 2 * t);
      const y = leftOf(pid) + (rightOf(object) - leftOf(pid)) * curve;
      const x = left + middle * (1.5 * t * (1 - t) * (1 - t) + 1.5 * t * t * (1 - t) + t * t * t);
      const arrows = { in: "←", out: "→", both: "↔", none: "" };
      return svg(
        "text",
        { x, y: y + 4, class: "number" },
        short(`${fds.join(",")}${arrows[direction]}`, 16),
      );
    }),
    links.filter((ends) => ends.every((key) => keys.has(key))).map(([from, to]) => {
      const x = left + middle + right, [y, other] = [rightOf(from), rightOf(to)];
      return svg("path", {
        class: "link",
        d: `M${x} ${y} C${x + 50} ${y} ${x + 50} ${other} ${x} ${other}`,
      });
    }),
    pids.map((pid) =>
      svg(
        "a",
        { href: `#process-${pid}` },
        svg("rect", { x: 1, y: leftOf(pid) - 12, width: left - 2, height: 24, rx: 4 }),
        svg("text", { x: 10, y: leftOf(pid) + 4 }, short(nameOf(pid), 28)),
      )
    ),
    shown.map(({ key, kind, what }) =>
      svg(
        "g",
        {},
        svg("title", {}, titleOf(kind, what)),
        svg("rect", {
          x: left + middle,
          y: rightOf(key) - 12,
          width: right,
          height: 24,
          rx: 4,
        }),
        svg("text", { x: left + middle + 10, y: rightOf(key) + 4 }, short(titleOf(kind, what), 52)),
      )
    ),
  );
  const holders = Map.groupBy(edges, ({ object }) => object);
  const words = objects.map(({ key, kind, what }) => ({
    cells: [
      kind,
      what,
      h(
        "span",
        {},
        ...holders.get(key).flatMap(({ pid, fds }, index) => [
          index > 0 ? "; " : "",
          processLink(pid),
          ` as ${fds.join(", ")}`,
        ]),
      ),
    ],
  }));
  return [
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Graph" }, picture),
    ...objects.length > shown.length
      ? [h("p", { class: "dim" }, `and ${objects.length - shown.length} more`)]
      : [],
    h("details", {}, h("summary", {}, "In words"), ...table(["Kind", "What", "Held by"], words)),
  ];
}

// --- what is there once

function filters() {
  return (data.filters ?? []).map((filter, index) =>
    h(
      "details",
      { id: `filter-${index}`, tabindex: "-1" },
      h(
        "summary",
        {},
        `filter ${index}: ${count(filter.instructions, "instruction")} ${filter.flags}`,
      ),
      h("pre", { tabindex: "0" }, filter.code.join("\n")),
    )
  );
}

function sysv() {
  const rows = (data.sysv ?? []).map(({ kind, id, key, uid, mode, what }) => ({
    cells: [kind, String(id), key ?? "private", String(uid), mode, what],
  }));
  return rows.length === 0 ? [] : table(["Kind", "Id", "Key", "User", "Mode", "What"], rows);
}

/** Those of a checkpoint, each as wide as it is long. */
function phases() {
  const rows = data.phases ?? [];
  const all = rows.reduce((sum, { ms }) => sum + ms, 0);
  const width = (ms) => all > 0 ? 100 * ms / all : 0;
  return rows.length === 0 ? [] : table(
    ["Phase", "Time", ""],
    rows.map(({ phase, ms }) => ({
      cells: [
        phase,
        `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`,
        h("meter", { value: String(width(ms)), max: "100", "aria-label": phase }),
      ],
    })),
  );
}

function images() {
  const plugins = data.plugins.length > 0 ? data.plugins.join(", ") : "none";
  return [
    h("p", {}, `Version ${data.version}; plugins needed to restore: ${plugins}`),
    ...table(
      ["File", "Size"],
      data.images.map((one) => ({ cells: [one.name, size(one.size)] })),
    ),
  ];
}

// --- search

/** Everything that can be found: a text, and where it is. */
const index = [
  ...data.tasks.flatMap((task) => {
    const { pid, comm } = task;
    const where = `process-${pid}`;
    return [
      [
        `${pid} ${comm} ${task.args?.join(" ") ?? ""} ${task.exe ?? ""} ${task.state}`,
        where,
        `process ${pid} ${comm}`,
      ],
      ...task.threads.map(({ tid, comm = "", ip = "" }) => [
        `${tid} ${comm} ${ip}`,
        `${where}-thread-${tid}`,
        `${pid}: thread ${tid} ${comm}`,
      ]),
      ...task.descriptors.map(({ fd, kind, what }) => [
        `${fd} ${kind} ${what}`,
        `${where}-fd-${fd}`,
        `${pid}: descriptor ${fd}  ${kind}  ${what}`,
      ]),
      ...task.mappings.map(({ start, end, name, permissions }) => [
        `${start}-${end} ${permissions} ${name}`,
        `${where}-mapping-${start}`,
        `${pid}: mapping ${start}  ${permissions}  ${name}`,
      ]),
      ...[...task.actions ?? []].map(({ signal, what }) => [
        `${signal} ${what}`,
        where,
        `${pid}: ${signal}  ${what}`,
      ]),
      ...[...task.timers ?? []].map((line) => [line, where, `${pid}: ${line}`]),
    ];
  }),
  ...(data.filters ?? []).map(({ code }, number) => [
    code.join("\n"),
    `filter-${number}`,
    `filter ${number}`,
  ]),
  ...(data.phases ?? []).map(({ phase }) => [phase, "phases", `phase ${phase}`]),
  ...data.images.map(({ name }) => [name, "images", `image ${name}`]),
].map(([text, where, title]) => ({ text: text.toLowerCase(), where, title }));

/** An address is found where it lies, too. */
function containing(text) {
  if (!/^0x[0-9a-f]{1,16}$/.test(text)) return [];
  const address = BigInt(text);
  return data.tasks.flatMap(({ pid, mappings }) =>
    mappings.filter(({ start, end }) => BigInt(start) <= address && address < BigInt(end))
      .map(({ start, name }) => ({
        where: `process-${pid}-mapping-${start}`,
        title: `${pid}: ${text} is in ${start}  ${name}`,
      }))
  );
}

function search(text) {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return results.replaceChildren();
  const found = [...containing(wanted), ...index.filter((one) => one.text.includes(wanted))];
  const links = found.slice(0, MOST_RESULTS)
    .map(({ where, title }) => h("li", {}, h("a", { href: `#${where}` }, title)));
  results.replaceChildren(
    h("p", { class: "dim", role: "status" }, count(found.length, "match", "matches")),
    h("ul", {}, links),
  );
}

// --- the page

const summary = [
  count(data.tasks.length, "process", "processes"),
  count(data.tasks.reduce((sum, { threads }) => sum + threads.length, 0), "thread"),
  size(data.size),
].join(", ");
const field = h("input", {
  type: "search",
  id: "search",
  placeholder: "Search: names, numbers, addresses ( / )",
  "aria-label": "Search",
  spellcheck: "false",
  oninput: () => search(field.value),
});
const results = h("div", { id: "results" });
const chosen = h("div", { id: "chosen" });
const SECTIONS = [
  ["connections", "Connections", connections()],
  ["filters", "Seccomp filters", filters()],
  ["sysv", "System V IPC", sysv()],
  ["phases", "Phases of the checkpoint", phases()],
  ["images", "Images", images()],
].filter(([, , content]) => content.length > 0);

document.title = `${data.directory}: Stasis checkpoint`;
document.body.append(
  h(
    "header",
    {},
    h("div", {}, h("h1", {}, data.directory), h("p", {}, summary)),
    h("div", {}, field),
    h("button", { type: "button", onclick: changeTheme }, "Light / dark"),
  ),
  h(
    "div",
    { id: "layout" },
    h(
      "nav",
      { "aria-label": "Contents", onkeydown: walk },
      results,
      tree(),
      h(
        "ul",
        { id: "sections" },
        SECTIONS.map(([id, title]) => h("li", {}, h("a", { href: `#${id}` }, title))),
      ),
    ),
    h(
      "main",
      {},
      chosen,
      SECTIONS.map(([id, title, content]) =>
        h("section", { id, tabindex: "-1" }, h("h2", {}, title), ...content)
      ),
    ),
  ),
);

function changeTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme === undefined
    ? matchMedia("(prefers-color-scheme: dark)").matches
    : root.dataset.theme === "dark";
  root.dataset.theme = dark ? "light" : "dark";
}

/** The id that the address names; none where somebody has written what is no address. */
function wantedPlace() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

/** The process that is shown, and what of it the address names. */
function follow() {
  const wanted = wantedPlace();
  const pid = Number(/^process-(\d+)/.exec(wanted)?.[1] ?? NaN);
  const task = byPid.get(pid) ?? (chosen.hasChildNodes() ? undefined : data.tasks[0]);
  if (task !== undefined && chosen.firstElementChild?.id !== `process-${task.pid}`) {
    chosen.replaceChildren(process(task));
    for (const link of document.querySelectorAll(".tree a")) {
      if (link.getAttribute("href") === `#process-${task.pid}`) {
        link.setAttribute("aria-current", "true");
      } else link.removeAttribute("aria-current");
    }
  }
  for (const found of document.querySelectorAll(".found")) found.classList.remove("found");
  const target = wanted === "" ? null : document.getElementById(wanted);
  if (target === null) return;
  if (target.tagName === "DETAILS") target.open = true;
  if (target.tagName !== "SECTION") target.classList.add("found");
  target.scrollIntoView();
  target.focus({ preventScroll: true });
}

addEventListener("hashchange", follow);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || /^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName)) return;
  event.preventDefault();
  field.focus();
});
// On paper all processes stand one behind the other.
addEventListener("beforeprint", () => {
  chosen.replaceChildren(...data.tasks.slice(0, MOST_PRINTED).map(process));
});
addEventListener("afterprint", () => {
  chosen.replaceChildren();
  follow();
});
follow();
