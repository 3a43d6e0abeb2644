import { equal, match } from "@std/assert";
import { hintFor } from "./unclaimed.ts";

Deno.test("hintFor() says of each kind what to do about it", () => {
  match(hintFor("anon_inode:[io_uring]"), /io_uring_disabled/);
  match(hintFor("anon_inode:[userfaultfd]"), /userfaultfd/);
  match(hintFor("anon_inode:[perf_event]"), /measurement/);
  for (const bpf of ["bpf-map", "bpf-prog", "bpf_link", "bpf_iter", "btf"]) {
    match(hintFor(`anon_inode:${bpf}`), /BPF/);
  }
  match(hintFor("anon_inode:kvm-vcpu:0"), /virtual machine/);
  for (const other of ["/dev/kvm", "socket:[12]", "anon_inode:[new]", "/bpf", "/tmp/io_uring"]) {
    match(hintFor(other), /docs\/plugins\.md/);
    equal(hintFor(other), hintFor(""));
  }
});
