import assert from "@std/assert";
import { Errno, errnoName, errnoNumber, isErrno } from "./errno.ts";

Deno.test("errnoName() has the kernel's numbers, also behind the gaps", () => {
  assert.equal(errnoName(1), "EPERM");
  assert.equal(errnoName(40), "ELOOP");
  assert.equal(errnoName(42), "ENOMSG");
  assert.equal(errnoName(59), "EBFONT");
  assert.equal(errnoName(122n), "EDQUOT");
  assert.equal(errnoName(133), "EHWPOISON");
  assert.equal(errnoName(516), "ERESTART_RESTARTBLOCK");
  assert.equal(errnoName(41), "errno 41");
});

Deno.test("errnoNumber() is the inverse, for every number that the code names", () => {
  for (const [name, number] of Object.entries(Errno)) assert.equal(errnoNumber(name), number);
  assert.throws(() => errnoNumber("ENOSUCH"), RangeError);
});

Deno.test("isErrno() takes -4095 to -1 alone for errors", () => {
  assert.ok(isErrno(-1n) && isErrno(-4095n));
  assert.ok(!isErrno(0n) && !isErrno(-4096n) && !isErrno(5n));
});
