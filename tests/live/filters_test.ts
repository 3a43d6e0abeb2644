/**
 * Real programs under seccomp filters as distributions ship them, checkpointed in the middle of their work: each comes
 * to the right end after a restore, and after a checkpoint that left it running, and every thread has the filters
 * that it had.
 */
import assert from "@std/assert";
import { SECCOMP } from "../../images/kinds/seccomp.ts";
import { openImages } from "../../mod.ts";
import { processTree } from "../harness/processes.ts";
import type { Subject } from "../harness/subject.ts";
import { FilterWitness } from "../programs/filter_witness.ts";
import {
  killAndRestore,
  leaveRunningAndRestore,
  type Program,
  script,
  withEnoughToDo,
} from "../programs/scenario.ts";

function manualPage(length: number): string {
  const paragraphs = Array.from(
    { length },
    (_, n) => `.PP\nParagraph \\fB${n}\\fR says that ${n} times ${n} is ${n * n}.\n`,
  );
  return `.TH BIG 1\n.SH DESCRIPTION\n${paragraphs.join("")}`;
}

/**
 * man formats a page by a pipeline of programs (preconv, tbl, groff, troff, grotty, col), each under the filter of
 * man-db's own: an allow list that libseccomp has compiled.
 */
function man(witness: FilterWitness, work: number): Program {
  const length = 240_000 * work;
  return {
    command: "man",
    args: ["-l", "big.1"],
    env: { MANWIDTH: "80", PATH: "/usr/bin:/bin" },
    plugins: [witness.plugin],
    prepare: (cwd) => Deno.writeTextFile(`${cwd}/big.1`, manualPage(length)),
    midway: (subject) => subject.output().length > 200_000,
    isCaught: () => witness.saved >= 6,
    verify(subject) {
      assert.equal(subject.errors(), "");
      const paragraphs = subject.output().split("\n").filter((line) => line.includes("Paragraph"));
      const expected = Array.from(
        { length },
        (_, n) => `       Paragraph ${n} says that ${n} times ${n} is ${n * n}.`,
      );
      assert.equal(paragraphs.length, length);
      const wrong = paragraphs.findIndex((line, index) => line !== expected[index]);
      assert.equal(wrong, -1, `${paragraphs[wrong]} instead of ${expected[wrong]}`);
    },
  };
}

/**
 * Each worker of stress-ng makes children over and over that put themselves under a filter and see what it lets
 * through. What matters is to catch one with its filter on.
 */
function stressNg(witness: FilterWitness, work: number): Program {
  const seconds = 3 * work;
  return {
    command: "stress-ng",
    args: ["--seccomp", "4", "-t", String(seconds), "--verify", "--metrics"],
    plugins: [witness.plugin],
    midway: (subject) => processTree(subject.pid).length > 5,
    isCaught: (directory) => openImages(directory).has(SECCOMP, null),
    verify(subject) {
      const told = subject.output() + subject.errors();
      assert.match(told, /successful run completed/);
      assert.doesNotMatch(told, /fail|skip|error/i);
      const [, operations, time] = / seccomp +(\d+) +([\d.]+) /.exec(told)!.map(Number);
      assert.ok(operations! > 10, `${operations} operations`);
      assert.ok(time! >= seconds - 0.5, `they ran for ${time} seconds`);
    },
  };
}

/** A virtual machine in the middle of its work: QEMU puts all its threads under the filter of its option -sandbox. */
function qemu(witness: FilterWitness, work: number): Program {
  const lines = 400 * work;
  return {
    command: "qemu-system-x86_64",
    args: [
      ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
      ...["-accel", "tcg", "-m", "32", "-nodefaults", "-display", "none", "-monitor", "none"],
      ...["-serial", "file:serial.txt", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
      ...["-drive", "file=counter.bin,format=raw,if=floppy,readonly=on"],
    ],
    plugins: [witness.plugin],
    async prepare(cwd) {
      const options = [
        "-m32",
        "-nostdlib",
        "-static",
        `-DLINES=${lines}`,
        "-o",
        `${cwd}/counter.bin`,
      ];
      const link = "-Wl,--build-id=none,-Ttext=0x7c00,--oformat=binary";
      const args = [...options, link, script("counter.S")];
      const { success, stderr } = await new Deno.Command("cc", { args }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
    },
    midway: (subject) => serialLines(subject).length > 50,
    isCaught: () => witness.saved >= 3,
    verify(subject) {
      assert.equal(subject.errors(), "");
      const expected = Array.from({ length: lines }, (_, n) => n.toString(16).padStart(4, "0"));
      assert.deepEqual(serialLines(subject), expected);
    },
    code: 33,
  };
}

/** What the machine has written to its serial port. */
function serialLines(subject: Subject): string[] {
  try {
    return Deno.readTextFileSync(`${subject.cwd}/serial.txt`).split("\n").slice(0, -1);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

const PROGRAMS: Readonly<Record<string, (witness: FilterWitness, work: number) => Program>> = {
  "man, whose pipeline is under man-db's filter": man,
  "stress-ng --seccomp": stressNg,
  "qemu -sandbox on": qemu,
};

for (const [name, program] of Object.entries(PROGRAMS)) {
  Deno.test(`${name}, comes to the right end after checkpoint and restore`, async () => {
    const witness = new FilterWitness();
    await withEnoughToDo((work) => program(witness, work), killAndRestore);
    assert.ok(witness.restored > 0, "nothing under seccomp was restored");
  });
  Deno.test(`${name}, comes to the right end when it is left running, and from its images`, async () => {
    const witness = new FilterWitness();
    await withEnoughToDo((work) => program(witness, work), leaveRunningAndRestore);
    assert.ok(witness.restored > 0, "nothing under seccomp was restored");
  });
}
