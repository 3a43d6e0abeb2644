/** The examples do what they say: they are plugins and scripts as users write them. */

import assert from "@std/assert";
import bpf from "../../examples/bpf_plugin.ts";
import tun from "../../examples/device_plugin.ts";
import { remapPath, replaceDescriptor } from "../../examples/edit_plan.ts";
import {
  checkpoint,
  definePlugin,
  type DescriptorConnect,
  planRestore,
  type Plugin,
  replaceEnvironment,
  restore,
  type StasisError,
} from "../../mod.ts";
import { waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { ImageHome, settled, startSleeper } from "./round_trip.ts";

const INTERFACE = "stasis-test0";
/** IFF_TUN | IFF_NO_PI. */
const OPEN_TUN = `
use Fcntl;
sysopen(my $tun, "/dev/net/tun", O_RDWR) or die "open: $!";
ioctl($tun, 0x400454ca, my $set = pack("Z16 S x22", "${INTERFACE}", 0x1001)) or die "TUNSETIFF: $!";
socket(my $socket, 2, 2, 0) or die "socket: $!";
ioctl($socket, 0x8914, my $up = pack("Z16 S x22", "${INTERFACE}", 1)) or die "SIOCSIFFLAGS: $!";
close $socket;
$| = 1;
for (my $round = 0;; $round++) {
  my $get = pack("x40");
  my $name = ioctl($tun, 0x800454d2, $get) ? unpack("Z16", $get) : "error $!";
  print "round $round $name\\n";
  select(undef, undef, undef, 0.02);
}
`;

function hasInterface(): boolean {
  try {
    Deno.statSync(`/sys/class/net/${INTERFACE}`);
    return true;
  } catch {
    return false;
  }
}

function rounds(subject: Subject): string[] {
  return subject.output().trimEnd().split("\n");
}

async function moreRounds(subject: Subject): Promise<void> {
  const before = rounds(subject).length;
  await waitUntil(
    () => rounds(subject).length > before + 2,
    () => `more rounds: ${subject.output()}${subject.errors()}`,
  );
}

/** The number of the descriptor that leads to the device. */
function deviceOf(pid: number): number | undefined {
  const found = [...Deno.readDirSync(`/proc/${pid}/fd`)]
    .find(({ name }) => Deno.readLinkSync(`/proc/${pid}/fd/${name}`) === "/dev/net/tun");
  return found && Number(found.name);
}

/** The plugin with a connect hook, which notes what it is told. */
function connecting(numbers: (number | undefined)[]): Plugin {
  return {
    ...tun,
    restore(session) {
      const hooks = tun.restore?.(session) ?? {};
      const connect = ({ number }: DescriptorConnect) => void numbers.push(number);
      return { ...hooks, descriptors: hooks.descriptors?.map((one) => ({ ...one, connect })) };
    },
  };
}

Deno.test("device_plugin saves a network interface that the core refuses", async () => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("/usr/bin/perl", { args: ["-e", OPEN_TUN] });
  await moreRounds(subject);

  await assert.rejects(checkpoint(subject.pid, images), (error: StasisError) => {
    assert.equal(error.code, "unsupported");
    assert.match(error.problems.map(({ what }) => what).join("\n"), /\/dev\/net\/tun/);
    return true;
  });

  const device = deviceOf(subject.pid);
  await checkpoint(subject.pid, { directory: images.directory, plugins: [tun] });
  await waitUntil(() => !hasInterface(), "the interface to go with its process");
  await assert.rejects(planRestore(images.directory), /tun/, "the images need the plugin");

  const told: (number | undefined)[] = [];
  await planRestore(images.directory, { plugins: [connecting(told)] });
  assert.deepEqual(told, [device], "the number that its descriptor has in the end");

  const tree = await restore(images.directory, { plugins: [tun] });
  await moreRounds(subject);
  const numbers = rounds(subject).map((line) => /^round (\d+) stasis-test0$/.exec(line)?.[1]);
  assert.deepEqual(numbers, numbers.map((_, index) => String(index)));
  assert.equal(
    parseInt(Deno.readTextFileSync(`/sys/class/net/${INTERFACE}/flags`)) & 1,
    1,
    "it is up",
  );
  tree.kill(9);
  assert.deepEqual(await tree.wait(), { signal: 9 });
});

/** Makes a hash and an array, fills them, and tells at each signal what is in them. */
const MAPS = `
sub words { my ($size, %at) = @_; my $s = "\\0" x $size; substr($s, $_, 4) = pack("L", $at{$_}) for keys %at; $s }
sub bpf { my ($command, $attributes) = @_; syscall(321, $command, $attributes, length $attributes) }
sub element { my ($fd, $key, $value) = @_; words(32, 0 => $fd) | pack("x8 p p", $key, $value) }
my @maps = map { bpf(0, words(48, 0 => $_, 4 => 4, 8 => 8, 12 => 5) | pack("x28 a16", "map$_")) } 1, 2;
print("none: $!\\n"), exit if $maps[0] < 0;
for my $fd (@maps) {
  for my $n (0 .. 2) {
    my ($key, $value) = (pack("L", $n), pack("Q", $fd * 100 + $n));
    bpf(2, element($fd, $key, $value)) == 0 or die "update: $!";
  }
}
$| = 1;
$SIG{USR1} = sub {
  my @all;
  for my $fd (@maps) {
    for my $n (0 .. 4) {
      my ($key, $value) = (pack("L", $n), pack("Q", 0));
      push @all, bpf(1, element($fd, $key, $value)) == 0 ? unpack("Q", $value) : "-";
    }
  }
  print "have @all\\n";
};
print "ready @maps\\n";
sleep 1 while 1;
`;

Deno.test("bpf_plugin saves maps with what is in them", async (t) => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("/usr/bin/perl", { args: ["-e", MAPS] });
  await waitUntil(() => /\n/.test(subject.output()), () => subject.errors());
  const why = /^none: (.*)/.exec(subject.output())?.[1];
  await t.step({
    name: why === undefined ? "maps" : `NOT RUN: there are no BPF maps here: ${why}`,
    ignore: why !== undefined,
    async fn() {
      const [, hash, array] = /^ready (\d+) (\d+)/.exec(subject.output()) ?? [];
      const [h, a] = [Number(hash) * 100, Number(array) * 100];
      const all = `have ${h} ${h + 1} ${h + 2} - - ${a} ${a + 1} ${a + 2} 0 0\n`;
      await assert.rejects(checkpoint(subject.pid, images), { code: "unsupported" });
      await checkpoint(subject.pid, { directory: images.directory, plugins: [bpf] });
      await subject.waitGone();
      const tree = await restore(images.directory, { plugins: [bpf] });
      tree.kill(10);
      await waitUntil(() => subject.output().includes("have"), () => subject.errors());
      assert.ok(subject.output().endsWith(all), `${subject.output()} is not ${all}`);
      tree.kill(9);
      assert.deepEqual(await tree.wait(), { signal: 9 });
    },
  });
});

Deno.test("what dump hooks report refuses a checkpoint for all of it at once, and the target runs on", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper("");
  const before = await settled(subject.pid);
  const late = definePlugin({
    name: "late",
    description: "finds reasons when the tree stands still",
    checkpoint: (session) => ({
      dumpTask: ({ pid }) =>
        session.problem({ pid, what: "it has one thing", hint: "take it away" }),
      dumpTree: () => session.problem({ what: "the tree has another" }),
    }),
  });
  const { directory } = images;
  await assert.rejects(checkpoint(subject.pid, { directory, plugins: [late] }), {
    code: "unsupported",
    problems: [
      { pid: subject.pid, plugin: "late", what: "it has one thing", hint: "take it away" },
      { plugin: "late", what: "the tree has another" },
    ],
  });
  assert.deepEqual(await settled(subject.pid), before);
  assert.throws(() => Deno.statSync(directory), Deno.errors.NotFound);
});

Deno.test("edit_plan moves a path, replaces an environment value and a descriptor", async () => {
  using images = new ImageHome();
  const home = await Deno.makeTempDir({ prefix: "stasis-examples-" });
  try {
    await Deno.mkdir(`${home}/old`);
    const script = `
      open(my $in, "<", "${home}/old/input") or die; my $line = <$in>;
      open(my $out, ">>", "${home}/old/output") or die; select($out); $| = 1;
      sub greeting { my $all = do { local (@ARGV, $/) = "/proc/self/environ"; <> };
                     $all =~ /(?:^|\\0)GREETING=([^\\0]*)/ ? $1 : "none" }
      for (my $round = 0;; $round++) {
        print "round $round ", greeting(), "\\n";
        select(undef, undef, undef, 0.02);
      }`;
    await Deno.writeTextFile(`${home}/old/input`, "hello\n");
    await using subject = await Subject.spawn("/usr/bin/perl", {
      args: ["-e", script],
      env: { GREETING: "good morning" },
    });
    const lines = (path: string) => {
      try {
        return Deno.readTextFileSync(path).trimEnd().split("\n");
      } catch {
        return [];
      }
    };
    await waitUntil(() => lines(`${home}/old/output`).length > 2, () => subject.errors());
    const fd = [...Deno.readDirSync(`/proc/${subject.pid}/fd`)]
      .find(({ name }) => Deno.readLinkSync(`/proc/${subject.pid}/fd/${name}`).endsWith("/output"));
    await checkpoint(subject.pid, images);
    const before = lines(`${home}/old/output`);
    assert.match(before.at(-1)!, /^round \d+ good morning$/);

    const plan = await planRestore(images.directory);
    await Deno.rename(`${home}/old`, `${home}/new`);
    assert.ok(remapPath(plan, `${home}/old`, `${home}/new`) >= 2);
    replaceEnvironment(plan, plan.pid, "GREETING", "good night");
    assert.throws(() => replaceEnvironment(plan, plan.pid, "GREETING", "x".repeat(13)), RangeError);
    assert.throws(() => replaceEnvironment(plan, plan.pid, "MISSING", ""), RangeError);
    replaceDescriptor(plan, plan.pid, Number(fd!.name), `${home}/elsewhere`);

    const tree = await restore(plan);
    await waitUntil(() => lines(`${home}/elsewhere`).length > 2, () => subject.errors());
    tree.kill(9);
    await tree.wait();
    assert.deepEqual(lines(`${home}/new/output`), before, "the old file got no more");
    const first = before.length;
    lines(`${home}/elsewhere`).slice(0, 2).forEach((line, index) => {
      assert.equal(line, `round ${first + index} good night`);
    });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
