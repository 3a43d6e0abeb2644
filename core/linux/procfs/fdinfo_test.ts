import assert from "@std/assert";
import { parseFdLink } from "./fd.ts";
import { parseFdInfo, parsePlainFdInfo } from "./fdinfo.ts";

// Recorded on 6.18.
const HEAD = "pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t1038\n";
const PLAIN = {
  pos: 0n,
  flags: 0o2000002,
  mountId: 17,
  ino: 1038n,
  locks: [],
  other: [],
};

Deno.test("parseFdInfo() reads a plain file, also of a kernel without the inode", () => {
  assert.deepEqual(parseFdInfo(HEAD), PLAIN);
  const old = parseFdInfo("pos:\t9007199254740993\nflags:\t0102001\nmnt_id:\t27\n");
  assert.equal(old.pos, 9007199254740993n);
  assert.equal(old.flags, 0o102001);
  assert.equal(old.ino, undefined);
});

Deno.test("parseFdInfo() reads an eventfd", () => {
  const text = `${HEAD}eventfd-count: ffffffffffff000a\neventfd-id: 1\neventfd-semaphore: 1\n`;
  assert.deepEqual(parseFdInfo(text), {
    ...PLAIN,
    eventfd: { count: 0xffffffffffff000an, id: 1, semaphore: true },
  });
  const old = parseFdInfo(`${HEAD}eventfd-count:                5\neventfd-id: 1\n`);
  assert.deepEqual(old.eventfd, { count: 5n, id: 1 });
});

Deno.test("parseFdInfo() reads a timerfd", () => {
  const text = `${HEAD}clockid: 1\nticks: 3\nsettime flags: 01\n` +
    "it_value: (99, 999981526)\nit_interval: (1, 500)\n";
  assert.deepEqual(parseFdInfo(text), {
    ...PLAIN,
    timerfd: {
      clockId: 1,
      ticks: 3n,
      settimeFlags: 1,
      value: { seconds: 99n, nanoseconds: 999981526 },
      interval: { seconds: 1n, nanoseconds: 500 },
    },
  });
});

Deno.test("parseFdInfo() reads an epoll instance with wide values", () => {
  const text = HEAD +
    "tfd:        4 events:       1c data:                4  pos:0 ino:40e sdev:10\n" +
    "tfd: 123456789 events: 80000019 data: ffffffffdeadbeef  pos:-1 ino:3f7e8 sdev:fe00001\n";
  assert.deepEqual(parseFdInfo(text).epoll, [
    { tfd: 4, events: 0x1c, data: 4n, pos: 0n, ino: 0x40en, dev: { major: 0, minor: 16 } },
    {
      tfd: 123456789,
      events: 0x80000019,
      data: 0xffffffffdeadbeefn,
      pos: -1n,
      ino: 0x3f7e8n,
      dev: { major: 0xfe, minor: 1 },
    },
  ]);
});

Deno.test("parseFdInfo() reads a signalfd, a pidfd and a socket", () => {
  assert.deepEqual(parseFdInfo(`${HEAD}sigmask:\t8000000000000800\n`), {
    ...PLAIN,
    signalfd: 0x8000000000000800n,
  });
  assert.deepEqual(parseFdInfo(`${HEAD}Pid:\t25506\nNSpid:\t25506\t7\n`), {
    ...PLAIN,
    pidfd: { pid: 25506, nsPid: [25506, 7] },
  });
  assert.deepEqual(parseFdInfo(`${HEAD}Pid:\t-1\nNSpid:\t\n`).pidfd, { pid: -1, nsPid: [] });
  assert.deepEqual(parseFdInfo(`${HEAD}scm_fds: 2\n`), { ...PLAIN, scmFds: 2 });
});

Deno.test("parseFdInfo() reads inotify and fanotify marks", () => {
  const handle = "fhandle-bytes:8 fhandle-type:1 f_handle:e8f7030000000000";
  const inotify = `inotify wd:1f ino:3f7e8 sdev:fe00000 mask:100 ignored_mask:0 ${handle}\n`;
  const file = { type: 1, bytes: new Uint8Array([0xe8, 0xf7, 3, 0, 0, 0, 0, 0]) };
  const dev = { major: 0xfe, minor: 0 };
  assert.deepEqual(parseFdInfo(HEAD + inotify), {
    ...PLAIN,
    inotify: [{ wd: 0x1f, ino: 0x3f7e8n, dev, mask: 0x100, handle: file }],
  });
  const fanotify = "fanotify flags:10 event-flags:8000\n" +
    `fanotify ino:3f7e8 sdev:fe00000 mflags:0 mask:1 ignored_mask:40000000 ${handle}\n` +
    "fanotify mnt_id:1b mflags:0 mask:2 ignored_mask:0\n" +
    "fanotify sdev:fe00000 mflags:40 mask:3 ignored_mask:0\n";
  const mark = { ino: undefined, dev: undefined, mountId: undefined, handle: undefined };
  assert.deepEqual(parseFdInfo(HEAD + fanotify), {
    ...PLAIN,
    fanotify: {
      flags: 0x10,
      eventFlags: 0x8000,
      marks: [
        {
          ...mark,
          ino: 0x3f7e8n,
          dev,
          markFlags: 0,
          mask: 1,
          ignoredMask: 0x40000000,
          handle: file,
        },
        { ...mark, mountId: 27, markFlags: 0, mask: 2, ignoredMask: 0 },
        { ...mark, dev, markFlags: 0x40, mask: 3, ignoredMask: 0 },
      ],
    },
  });
});

Deno.test("parseFdInfo() reads locks, and keeps lines that it does not know", () => {
  const info = parseFdInfo(
    `${HEAD}lock:\t1: FLOCK  ADVISORY  WRITE 25506 fe:00:2146601 0 EOF\n` +
      "lock:\t2: POSIX  ADVISORY  READ 25506 fe:00:2146601 5 14\nSqThread:\t-1\n",
  );
  assert.deepEqual(info.locks.map((lock) => [lock.type, lock.mode, lock.start, lock.end]), [
    ["FLOCK", "WRITE", 0n, undefined],
    ["POSIX", "READ", 5n, 14n],
  ]);
  assert.deepEqual(info.other, ["SqThread:\t-1"]);
});

Deno.test("parseFdLink() takes every kind of link apart", () => {
  const link = (text: string) => {
    const { kind, path, inode, deleted } = parseFdLink(text);
    return [kind, path, inode, deleted];
  };
  assert.deepEqual(link("/tmp/a\n(b) c"), ["path", "/tmp/a\n(b) c", undefined, false]);
  assert.deepEqual(link("/tmp/a (deleted)"), ["path", "/tmp/a", undefined, true]);
  assert.deepEqual(link("/memfd:a b (deleted)"), ["memfd", "a b", undefined, true]);
  assert.deepEqual(link("/memfd:a"), ["path", "/memfd:a", undefined, false]);
  assert.deepEqual(link("anon_inode:[eventpoll]"), ["anon-inode", "eventpoll", undefined, false]);
  assert.deepEqual(link("anon_inode:inotify"), ["anon-inode", "inotify", undefined, false]);
  assert.deepEqual(link("pipe:[85631]"), ["pipe", "pipe", 85631n, false]);
  assert.deepEqual(link("socket:[85635]"), ["socket", "socket", 85635n, false]);
  assert.deepEqual(link("mnt:[4026531832]"), ["object", "mnt", 4026531832n, false]);
  assert.deepEqual(link("/dev/pts/0"), ["path", "/dev/pts/0", undefined, false]);
});

Deno.test("parsePlainFdInfo() gives what parseFdInfo() does, or leaves it to that", () => {
  const parse = (text: string) => {
    const bytes = new TextEncoder().encode(`xx${text}yy`);
    return parsePlainFdInfo(bytes, 2, bytes.length - 2);
  };
  for (
    const text of [
      HEAD,
      `${HEAD}scm_fds: 3\n`,
      HEAD.replace("pos:\t0", "pos:\t123456789012"),
      HEAD.replace("02000002", "0100000"),
    ]
  ) assert.deepEqual(parse(text), parseFdInfo(text));
  for (
    const text of [
      "",
      "pos:\t0\nflags:\t02\nmnt_id:\t17\n",
      HEAD.replace("pos:\t0", "pos:\t-1"),
      HEAD.replace("pos:\t0", "pos:\t9223372036854775807"),
      `${HEAD}lock:\t1: FLOCK  ADVISORY  WRITE 1 00:1a:7 0 EOF\n`,
      `${HEAD}eventfd-count:                5\n`,
      `${HEAD}scm_fds: 3\nmore: 1\n`,
    ]
  ) assert.equal(parse(text), undefined, text);
});
