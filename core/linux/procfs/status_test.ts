import assert from "@std/assert";
import { parseIdList, parseStatus } from "./status.ts";

/** A thread of a test program on 6.18, with the line of our series added; two pid namespaces. */
const STATUS = `Name:	a b) (c\\n\\\\d
Umask:	0027
State:	t (tracing stop)
Tgid:	7112
Ngid:	0
Pid:	7113
PPid:	7106
TracerPid:	99
Uid:	1000	1001	1002	1003
Gid:	4294967294	0	0	5
FDSize:	256
Groups:	4 24 1000 
NStgid:	7112	1
NSpid:	7113	2
NSpgid:	7106	0
NSsid:	5192	0
Kthread:	0
VmPeak:	    3060 kB
VmSize:	    3056 kB
VmLck:	       8 kB
VmPin:	       0 kB
VmHWM:	    1752 kB
VmRSS:	    1748 kB
RssAnon:	     112 kB
RssFile:	    1640 kB
RssShmem:	       4 kB
VmData:	     360 kB
VmStk:	     132 kB
VmExe:	      20 kB
VmLib:	    1528 kB
VmPTE:	      48 kB
VmSwap:	      16 kB
HugetlbPages:	       0 kB
CoreDumping:	0
THP_enabled:	1
untag_mask:	0xffffffffffffffff
Threads:	2
SigQ:	1/96365
SigPnd:	0000000000000400
ShdPnd:	8000000000000000
SigBlk:	0000000000010000
SigIgn:	0000000000001000
SigCgt:	00000001800004ec
CapInh:	0000000000000001
CapPrm:	000001fffeffffff
CapEff:	000001fffefffffe
CapBnd:	000001ffffffffff
CapAmb:	0000000000000002
NoNewPrivs:	1
Seccomp:	2
Seccomp_filters:	30
Speculation_Store_Bypass:	thread vulnerable
SpeculationIndirectBranch:	conditional enabled
Syscall_user_dispatch:	1
Cpus_allowed:	7
Cpus_allowed_list:	0-1,4
Mems_allowed:	00000000,00000001
Mems_allowed_list:	0
voluntary_ctxt_switches:	2
nonvoluntary_ctxt_switches:	0
x86_Thread_features:	shstk wrss 
x86_Thread_features_locked:	
`;

Deno.test("parseStatus() reads every line of a traced thread", () => {
  assert.deepEqual(parseStatus(STATUS), {
    name: "a b) (c\n\\d",
    umask: 0o027,
    state: "t",
    tgid: 7112,
    pid: 7113,
    ppid: 7106,
    tracerPid: 99,
    uids: [1000, 1001, 1002, 1003],
    gids: [4294967294, 0, 0, 5],
    groups: [4, 24, 1000],
    fdSize: 256,
    nsTgid: [7112, 1],
    nsPid: [7113, 2],
    nsPgid: [7106, 0],
    nsSid: [5192, 0],
    kthread: false,
    memory: {
      peak: 3060 * 1024,
      size: 3056 * 1024,
      locked: 8192,
      pinned: 0,
      peakResident: 1752 * 1024,
      resident: 1748 * 1024,
      residentAnonymous: 112 * 1024,
      residentFile: 1640 * 1024,
      residentShmem: 4096,
      data: 360 * 1024,
      stack: 132 * 1024,
      swap: 16384,
    },
    coreDumping: false,
    untagMask: 0xffff_ffff_ffff_ffffn,
    thpEnabled: true,
    threads: 2,
    sigQueued: 1,
    sigQueueLimit: 96365n,
    sigPending: 0x400n,
    sharedPending: 0x8000000000000000n,
    sigBlocked: 0x10000n,
    sigIgnored: 0x1000n,
    sigCaught: 0x1800004ecn,
    caps: {
      inheritable: 1n,
      permitted: 0x1fffeffffffn,
      effective: 0x1fffefffffen,
      bounding: 0x1ffffffffffn,
      ambient: 2n,
    },
    noNewPrivs: true,
    seccomp: 2,
    seccompFilters: 30,
    speculationStoreBypass: "thread vulnerable",
    speculationIndirectBranch: "conditional enabled",
    syscallUserDispatch: true,
    threadFeatures: ["shstk", "wrss"],
    threadFeaturesLocked: [],
    cpusAllowed: [0, 1, 4],
    memsAllowed: [0],
  });
});

Deno.test("parseStatus() tells no dispatch line from dispatch that is off", () => {
  const without = STATUS.replace(/Syscall_user.*\n/, "");
  assert.equal(parseStatus(without).syscallUserDispatch, undefined);
  const off = STATUS.replace("dispatch:\t1", "dispatch:\t0");
  assert.equal(parseStatus(off).syscallUserDispatch, false);
});

Deno.test("parseStatus() reads a zombie of an older kernel: no memory, no umask, no Kthread", () => {
  const zombie = STATUS.replaceAll(/^(Umask|Kthread|Vm\w+|Rss\w+|THP_enabled|x86\w+):.*\n/gm, "")
    .replace("t (tracing stop)", "Z (zombie)");
  const status = parseStatus(zombie);
  assert.equal(status.state, "Z");
  assert.equal(status.memory, undefined);
  assert.equal(status.umask, undefined);
  assert.equal(status.kthread, undefined);
  assert.deepEqual(status.threadFeatures, []);
});

Deno.test("parseStatus() keeps a name that looks like another line", () => {
  const status = parseStatus(STATUS.replace(/^Name:.*/, "Name:\t\\nPid:\t1 "));
  assert.equal(status.name, "\nPid:\t1 ");
  assert.equal(status.pid, 7113);
});

Deno.test("parseStatus() refuses a text without a line that every kernel has", () => {
  assert.throws(() => parseStatus(STATUS.replace(/SigBlk.*\n/, "")), /SigBlk/);
});

Deno.test("parseIdList() expands ranges", () => {
  assert.deepEqual(parseIdList("0-2,8,10-11\n"), [0, 1, 2, 8, 10, 11]);
  assert.deepEqual(parseIdList("\n"), []);
});
