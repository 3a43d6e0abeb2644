import assert from "@std/assert";
import { remoteAddress } from "../address.ts";
import { parseMaps } from "./maps.ts";
import { isSameVma, parseSmaps, sharedVmas, SmapsParser, type Vma } from "./smaps.ts";
import { mappingKind } from "./vma_line.ts";

const encode = (text: string) => new TextEncoder().encode(text);

const LINES = [
  "00400000-00401000 r-xp 00000000 fe:00 260386                             /usr/bin/a b",
  "00600000-00602000 rw-p 123456789000 103:1f 9007199254740993             /tmp/x\\012y\\040z (deleted)",
  "01c2e000-01c4f000 rw-p 00000000 00:00 0                                  [heap]",
  "7f0000000000-7f0000001000 rw-s 00000000 00:01 1029                       /dev/zero (deleted)",
  "7f0000001000-7f0000002000 rw-s 00000000 00:01 1030                       /memfd:a b (deleted)",
  "7f0000002000-7f0000003000 rw-s 00000000 00:01 32768                      /SYSV0000002a (deleted)",
  "7f0000003000-7f0000004000 ---p 00000000 00:00 0 ",
  "7f0000004000-7f0000005000 rw-p 00000000 00:00 0                          [anon:my: heap]",
  "7f0000005000-7f0000006000 rw-s 00000000 00:01 1031                       [anon_shmem:x]",
  "7f0000006000-7f0000007000 rw-s 00000000 00:0f 1030                       anon_inode:[io_uring]",
  "7f0000007000-7f0000207000 rw-p 00000000 00:10 21                         /anon_hugepage (deleted)",
  "7f0000207000-7f0000208000 rw-s 00000000 00:17 7                          /dev/shm/p",
  "7ffe3e1c3000-7ffe3e1e4000 rw-p 00000000 00:00 0                          [stack]",
  "7ffe3e1f0000-7ffe3e1f4000 r--p 00000000 00:00 0                          [vvar]",
  "7ffe3e1f4000-7ffe3e1f6000 r--p 00000000 00:00 0                          [vvar_vclock]",
  "7ffe3e1f6000-7ffe3e1f8000 r-xp 00000000 00:00 0                          [vdso]",
  "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]",
];

Deno.test("parseMaps() reads addresses, protection, file and name of every kind of line", () => {
  const maps = parseMaps(encode(LINES.join("\n") + "\n"));
  assert.equal(maps.length, LINES.length);
  assert.deepEqual(maps[0], {
    start: 0x400000n,
    end: 0x401000n,
    prot: 5,
    shared: false,
    offset: 0n,
    dev: { major: 0xfe, minor: 0 },
    inode: 260386n,
    name: "/usr/bin/a b",
    deleted: false,
  });
  assert.deepEqual(maps[1], {
    start: 0x600000n,
    end: 0x602000n,
    prot: 3,
    shared: false,
    offset: 0x123456789000n,
    dev: { major: 0x103, minor: 0x1f },
    inode: 9007199254740993n,
    name: "/tmp/x\ny\\040z",
    deleted: true,
  });
  assert.deepEqual(
    maps.map((mapping) => mapping.prot + (mapping.shared ? 8 : 0)),
    [5, 3, 3, 11, 11, 11, 0, 3, 11, 11, 3, 11, 3, 1, 1, 5, 4],
  );
  assert.equal(maps.at(-1)!.start, 0xffffffffff600000n);
  assert.equal(maps.at(-1)!.end, 0xffffffffff601000n);
});

Deno.test("mappingKind() knows the kernel's own names", () => {
  const maps = parseMaps(encode(LINES.join("\n") + "\n"));
  assert.deepEqual(maps.map(mappingKind), [
    "file",
    "file",
    "heap",
    "shared-anonymous",
    "memfd",
    "sysv-shm",
    "anonymous",
    "named-anonymous",
    "named-shared-anonymous",
    "anon-inode",
    "anonymous-hugetlb",
    "file",
    "stack",
    "vvar",
    "vvar_vclock",
    "vdso",
    "vsyscall",
  ]);
  assert.equal(mappingKind({ name: "/dev/zero", deleted: false }), "file");
});

Deno.test("parseMaps() tells neighbours apart whose names have the same length", () => {
  const text = "1000-2000 r--p 00000000 fe:00 1   /a (deleted)\n" +
    "2000-3000 r--p 00000000 fe:00 2   /b (deleted)\n" +
    "3000-4000 r--p 00000000 fe:01 2   /b (deleted)\n" +
    "4000-5000 r--p 00000000 00:00 0 \n";
  assert.deepEqual(
    parseMaps(encode(text)).map((mapping) => [mapping.name, mapping.deleted, mapping.dev.minor]),
    [["/a", true, 0], ["/b", true, 0], ["/b", true, 1], ["", false, 0]],
  );
});

Deno.test("parseMaps() refuses a text that is no maps file", () => {
  assert.throws(() => parseMaps(encode("hello")), /hexadecimal/);
  assert.throws(() => parseMaps(encode("1000-2000 r--p 00")), /within a line/);
});

/** A block of 6.18 on a machine with protection keys. */
function block(line: string, flags: string, sizes: Record<string, number> = {}): string {
  const labels = "Size KernelPageSize MMUPageSize Rss Pss Pss_Dirty Shared_Clean Shared_Dirty " +
    "Private_Clean Private_Dirty Referenced Anonymous KSM LazyFree AnonHugePages ShmemPmdMapped " +
    "FilePmdMapped Shared_Hugetlb Private_Hugetlb Swap SwapPss Locked";
  const rows = labels.split(" ").map((label) =>
    `${(label + ":").padEnd(16)}${String(sizes[label] ?? 77).padStart(8)} kB\n`
  );
  return `${line}\n${rows.join("")}THPeligible:           0\n` +
    `ProtectionKey:  ${String(3).padStart(8)}\nVmFlags: ${flags} \n`;
}

Deno.test("parseSmaps() picks the sizes and flags out of each block", () => {
  const sizes = { Rss: 1, Anonymous: 2, Swap: 5 };
  const text = block(LINES[0]!, "rd ex mr mw me", sizes) +
    block(LINES[2]!, "rd wr mr mw me ac sd", sizes) + block(LINES[6]!, "rd ex mr mw me", sizes);
  const vmas = parseSmaps(encode(text));
  assert.equal(vmas.length, 3);
  assert.deepEqual(vmas[1], {
    start: 0x1c2e000n,
    end: 0x1c4f000n,
    prot: 3,
    shared: false,
    offset: 0n,
    dev: { major: 0, minor: 0 },
    inode: 0n,
    name: "[heap]",
    deleted: false,
    flags: new Set(["rd", "wr", "mr", "mw", "me", "ac", "sd"]),
    rss: 1024,
    anonymous: 2048,
    swap: 5120,
    protectionKey: 3,
  });
  assert.equal(vmas[0]!.flags, vmas[2]!.flags);
  assert.equal(vmas[2]!.name, "");
});

Deno.test("parseSmaps() reads sizes that are wider than their column", () => {
  const wide = { Rss: 123456789012, Size: 123456789012, Locked: 987654321, Swap: 4 };
  const [first, second] = parseSmaps(
    encode(block(LINES[0]!, "rd", wide) + block(LINES[2]!, "wr", { Rss: 9 })),
  );
  assert.equal(first!.rss, 123456789012 * 1024);
  assert.equal(first!.swap, 4096);
  assert.equal(second!.rss, 9 * 1024);
});

Deno.test("parseSmaps() finds the lines of a block that is as long as another one, but of another form", () => {
  // One is wider before, the other behind it.
  const wide = block(LINES[0]!, "rd", { Size: 1234567890, Rss: 1, Swap: 3 });
  const other = block(LINES[0]!, "rd", { Rss: 12345678, Swap: 23456789, Locked: 1234567890 });
  assert.equal(wide.length, other.length);
  const [first, second] = parseSmaps(encode(wide + other));
  assert.deepEqual([first!.rss, first!.swap], [1024, 3072]);
  assert.deepEqual([second!.rss, second!.swap], [12345678 * 1024, 23456789 * 1024]);
});

Deno.test("parseSmaps() gives an empty list of an empty file, and refuses half a block", () => {
  assert.deepEqual(parseSmaps(new Uint8Array(0)), []);
  assert.throws(() => parseSmaps(encode(LINES[0] + "\nSize:    4 kB\n")), /VmFlags/);
});

Deno.test("SmapsParser takes the file in pieces that end anywhere", () => {
  const text = encode(
    block(LINES[0]!, "rd ex mr mw me", { Rss: 1 }) + block(LINES[2]!, "rd wr", { Rss: 123456789 }) +
      block(LINES[3]!, "rd ex mr mw me", { Swap: 7 }),
  );
  const whole = parseSmaps(text);
  for (const size of [1, 7, 100, 699, 1000, 2000]) {
    const parser = new SmapsParser();
    const piece = new Uint8Array(size);
    for (let at = 0; at < text.length; at += size) {
      const part = text.subarray(at, at + size);
      piece.set(part);
      parser.push(piece.subarray(0, part.length));
    }
    assert.deepEqual(parser.finish(), whole, `pieces of ${size}`);
  }
});

Deno.test("isSameVma() sees any difference", () => {
  const [vma, again] = parseSmaps(
    encode(block(LINES[0]!, "rd ex", {}) + block(LINES[0]!, "rd ex", {})),
  );
  assert.ok(isSameVma(vma!, again!));
  const others: { [Key in keyof Vma]-?: Vma[Key] } = {
    start: remoteAddress(0x1000n),
    end: remoteAddress(0x500000n),
    prot: 7,
    shared: true,
    offset: 4096n,
    dev: { major: 0xfe, minor: 1 },
    inode: 1n,
    name: "/other",
    deleted: true,
    flags: new Set(),
    rss: 4096,
    anonymous: 4096,
    swap: 4096,
    protectionKey: 1,
  };
  for (const [key, value] of Object.entries(others)) {
    assert.ok(!isSameVma({ ...vma!, [key]: value }, again!), key);
  }
});

Deno.test("sharedVmas() takes the objects of what is the same, in the same place", () => {
  const read = () =>
    parseSmaps(encode(block(LINES[0]!, "rd ex", {}) + block(LINES[2]!, "rd wr", {})));
  const before = read();
  const grown = read().map((vma, index) => index === 1 ? { ...vma, rss: 8192 } : vma);
  const shared = sharedVmas(before, grown);
  assert.equal(shared[0], before[0]);
  assert.equal(shared[1], grown[1]);
  assert.deepEqual(sharedVmas([], before), before);
});
