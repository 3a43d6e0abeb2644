/**
 * The parsers of the small files, each on a recorded content.
 *
 * @module
 */

import assert from "@std/assert";
import { parseAuxv } from "./auxv.ts";
import { parseCgroup } from "./cgroup.ts";
import { parseChildren } from "./children.ts";
import { parseStrings } from "./cmdline.ts";
import { parseComm } from "./comm.ts";
import { unescapeOctal } from "./escape.ts";
import { kernelAtLeast, parseKernelRelease } from "./kernel.ts";
import { parseLimits, RLIM_INFINITY } from "./limits.ts";
import { parseLocks } from "./locks.ts";
import { parseMountinfo } from "./mountinfo.ts";
import { parseNamespaceLink } from "./namespaces.ts";
import { parsePersonality } from "./personality.ts";
import { parseSyscall } from "./syscall.ts";
import { parseTimers } from "./timers.ts";

Deno.test("parseTimers() reads every kind of notification, by ascending ids", () => {
  const text = "ID: 2\nsignal: 0/0000000000000000\nnotify: none/pid.25506\nClockID: 1\n" +
    "ID: 1\nsignal: 34/ffffffffdeadbeef\nnotify: signal/tid.25507\nClockID: -6\n" +
    "ID: 0\nsignal: 10/0000000000001234\nnotify: signal/pid.25506\nClockID: 0\n";
  const none = undefined;
  assert.deepEqual(parseTimers(text), [
    { id: 0, signal: 10, sigval: 0x1234n, notify: "signal", tid: none, clockId: 0 },
    { id: 1, signal: 34, sigval: 0xffffffffdeadbeefn, notify: "signal", tid: 25507, clockId: -6 },
    { id: 2, signal: 0, sigval: 0n, notify: "none", tid: none, clockId: 1 },
  ]);
  assert.deepEqual(parseTimers(""), []);
  assert.throws(() => parseTimers("ID: 2\nsignal"), /timers/);
});

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max file size             18446744073709551614 unlimited            bytes     
Max data size             unlimited            unlimited            bytes     
Max stack size            8388608              unlimited            bytes     
Max core file size        0                    unlimited            bytes     
Max resident set          unlimited            unlimited            bytes     
Max processes             96365                96366                processes 
Max open files            20000                20001                files     
Max locked memory         8388608              8388608              bytes     
Max address space         unlimited            unlimited            bytes     
Max file locks            unlimited            unlimited            locks     
Max pending signals       96365                96365                signals   
Max msgqueue size         819200               819200               bytes     
Max nice priority         1                    2                    
Max realtime priority     3                    4                    
Max realtime timeout      unlimited            unlimited            us        
`;

Deno.test("parseLimits() reads all limits in the order of their numbers", () => {
  const limits = parseLimits(LIMITS);
  assert.equal(limits.length, 16);
  assert.deepEqual(limits.map((limit) => limit.resource), [...Array(16).keys()]);
  assert.deepEqual(limits[1], {
    name: "RLIMIT_FSIZE",
    resource: 1,
    soft: RLIM_INFINITY - 1n,
    hard: RLIM_INFINITY,
  });
  assert.deepEqual(limits[7], {
    name: "RLIMIT_NOFILE",
    resource: 7,
    soft: 20000n,
    hard: 20001n,
  });
  assert.deepEqual([limits[13]!.soft, limits[14]!.hard], [1n, 4n]);
  assert.throws(() => parseLimits(LIMITS.replace("Max nice", "Max")), /Max nice priority/);
});

Deno.test("parseMountinfo() undoes escapes and reads optional fields", () => {
  const text = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n" +
    "36 35 98:0 /mnt\\0401//deleted /a\\012b\\134 rw master:1 propagate_from:2 unbindable " +
    "- fuse.x  ro,errors=a\\040b\n";
  const [root, other] = parseMountinfo(text);
  assert.deepEqual(root, {
    id: 27,
    parentId: 1,
    dev: { major: 254, minor: 0 },
    root: "/",
    rootDeleted: false,
    mountPoint: "/",
    options: ["rw", "relatime"],
    shared: 1,
    master: undefined,
    propagateFrom: undefined,
    unbindable: false,
    fsType: "ext4",
    source: "/dev/vda",
    superOptions: ["rw", "discard"],
  });
  assert.deepEqual(other, {
    id: 36,
    parentId: 35,
    dev: { major: 98, minor: 0 },
    root: "/mnt 1",
    rootDeleted: true,
    mountPoint: "/a\nb\\",
    options: ["rw"],
    shared: undefined,
    master: 1,
    propagateFrom: 2,
    unbindable: true,
    fsType: "fuse.x",
    source: "",
    superOptions: ["ro", "errors=a b"],
  });
  assert.throws(() => parseMountinfo("27 1 254:0 / / rw\n"), /mountinfo/);
});

Deno.test("unescapeOctal() undoes one byte only where it is told to", () => {
  assert.equal(unescapeOctal("a\\012b\\040c", 10), "a\nb\\040c");
  assert.equal(unescapeOctal("a\\134012"), "a\\012");
});

Deno.test("parseLocks() reads holders and those that wait", () => {
  const text = "1: POSIX  ADVISORY  WRITE 7105 fe:00:402116 0 EOF\n" +
    "1: -> POSIX  ADVISORY  READ  7106 fe:00:402116 10 19\n" +
    "1:  -> POSIX  ADVISORY  WRITE 7107 fe:00:402116 10 19\n" +
    "2: OFDLCK ADVISORY  READ  -1 00:1a:5 0 9223372036854775806\n" +
    "3: LEASE  BREAKING  READ  12 fe:00:7 0 EOF\n" +
    "4: POSIX  *NOINODE* WRITE 3 <none>:0 0 EOF\n";
  const locks = parseLocks(text);
  assert.deepEqual(locks[0], {
    id: 1,
    blocked: false,
    type: "POSIX",
    kind: "ADVISORY",
    mode: "WRITE",
    pid: 7105,
    dev: { major: 0xfe, minor: 0 },
    inode: 402116n,
    start: 0n,
    end: undefined,
  });
  assert.deepEqual(
    locks.map((lock) => [lock.id, lock.blocked, lock.type, lock.kind, lock.pid, lock.end]),
    [
      [1, false, "POSIX", "ADVISORY", 7105, undefined],
      [1, true, "POSIX", "ADVISORY", 7106, 19n],
      [1, true, "POSIX", "ADVISORY", 7107, 19n],
      [2, false, "OFDLCK", "ADVISORY", -1, 9223372036854775806n],
      [3, false, "LEASE", "BREAKING", 12, undefined],
      [4, false, "POSIX", "*NOINODE*", 3, undefined],
    ],
  );
  assert.equal(locks[5]!.dev, undefined);
});

Deno.test("parseSyscall() tells running, stopped and blocked threads apart", () => {
  assert.equal(parseSyscall("running\n"), undefined);
  assert.deepEqual(parseSyscall("-1 0x7ffcda7f16e8 0x7f43eb1db2ad\n"), {
    number: -1,
    args: [],
    stackPointer: 0x7ffcda7f16e8n,
    programCounter: 0x7f43eb1db2adn,
  });
  assert.deepEqual(
    parseSyscall("0 0x3 0x7f43eb063000 0x20000 0x0 0xffffffffffffffff 0x5 0x7ffc 0x7f43\n"),
    {
      number: 0,
      args: [3n, 0x7f43eb063000n, 0x20000n, 0n, 0xffffffffffffffffn, 5n],
      stackPointer: 0x7ffcn,
      programCounter: 0x7f43n,
    },
  );
});

Deno.test("parseAuxv() stops at AT_NULL and at the end of the bytes", () => {
  const bytes = (...words: bigint[]) => new Uint8Array(new BigUint64Array(words).buffer);
  assert.deepEqual(parseAuxv(bytes(33n, 0x7f0e815ff000n, 6n, 4096n, 0n, 0n, 9n, 9n)), [
    [33n, 0x7f0e815ff000n],
    [6n, 4096n],
  ]);
  assert.deepEqual(parseAuxv(bytes(6n, 4096n, 3n)), [[6n, 4096n]]);
  assert.deepEqual(parseAuxv(new Uint8Array(0)), []);
});

Deno.test("parseStrings() keeps empty arguments", () => {
  assert.deepEqual(parseStrings("a\0\0b c\0"), ["a", "", "b c"]);
  assert.deepEqual(parseStrings("nginx: worker"), ["nginx: worker"]);
  assert.deepEqual(parseStrings("\0"), [""]);
  assert.deepEqual(parseStrings(""), []);
});

Deno.test("parseComm() takes only the kernel's newline off", () => {
  assert.equal(parseComm("a\n)\n\n"), "a\n)\n");
});

Deno.test("parseCgroup() reads v1, named and v2 hierarchies", () => {
  assert.deepEqual(parseCgroup("9:name=systemd:/\n2:cpu,cpuacct:/a:b (deleted)\n0::/x\n"), [
    { hierarchy: 9, name: "name=systemd", path: "/" },
    { hierarchy: 2, name: "cpu,cpuacct", path: "/a:b (deleted)" },
    { hierarchy: 0, name: "", path: "/x" },
  ]);
  // Names of groups are any bytes but a newline.
  assert.equal(parseCgroup("0::/a\r\u2028b\n")[0]?.path, "/a\r\u2028b");
});

Deno.test("parseChildren() reads the list with its blank at the end", () => {
  assert.deepEqual(parseChildren("12 13 4194303 "), [12, 13, 4194303]);
  assert.deepEqual(parseChildren(""), []);
});

Deno.test("parseNamespaceLink() reads type and inode", () => {
  assert.deepEqual(parseNamespaceLink("pid:[4026531836]"), { type: "pid", inode: 4026531836n });
  assert.throws(() => parseNamespaceLink("/tmp"), /ns/);
});

Deno.test("parsePersonality() is hexadecimal", () => {
  assert.equal(parsePersonality("00040000\n"), 0x40000);
});

Deno.test("kernelAtLeast() compares releases by their numbers", () => {
  const release = parseKernelRelease("6.18.44-fc");
  assert.deepEqual(release, { major: 6, minor: 18, patch: 44, text: "6.18.44-fc" });
  assert.equal(kernelAtLeast(release, 6, 4), true);
  assert.equal(kernelAtLeast(release, 6, 18), true);
  assert.equal(kernelAtLeast(release, 6, 19), false);
  assert.equal(kernelAtLeast(release, 7, 0), false);
  assert.equal(kernelAtLeast(parseKernelRelease("7.0-rc1"), 6, 18), true);
  assert.throws(() => parseKernelRelease("linux"), RangeError);
});
