import { deepEqual } from "@std/assert";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { fd_types, file_entrySchema } from "../../images/gen/descriptors_pb.ts";
import { graphOf } from "./graph.ts";

const fown = { uid: 0, euid: 0, signum: 0, pidType: 0, pid: 0 };
const files = (...entries: MessageInitShape<typeof file_entrySchema>[]) =>
  new Map(entries.map((entry) => [entry.id ?? 0, create(file_entrySchema, entry)]));
const pipe = (id: number, pipeId: number, flags: number) => ({
  type: fd_types.PIPE,
  id,
  pipe: { id, pipeId, flags, fown },
});
const reg = (id: number, name: string, flags = 0) => ({
  type: fd_types.REG,
  id,
  reg: { id, flags, pos: 0n, fown, name },
});
const socket = (id: number, srcPort: number, dstPort: number) => ({
  type: fd_types.INETSK,
  id,
  isk: {
    id,
    ino: 900 + id,
    family: 2,
    type: 1,
    proto: 6,
    state: 1,
    srcPort,
    dstPort,
    flags: 2,
    backlog: 0,
    srcAddr: [0x0100007f],
    dstAddr: [0x0100007f],
    fown,
    opts: {},
    shutdown: 0,
  },
});
const descriptor = (fd: number, id: number, kind: string, what = "") => ({
  fd,
  id,
  kind,
  what,
  closeOnExec: false,
});

Deno.test("graphOf() joins the ends of a pipe, and says which way bytes go", () => {
  const graph = graphOf([
    { pids: [1, 5], descriptors: [descriptor(1, 10, "pipe", "pipe 7  write  5 B waits")] },
    { pids: [2], descriptors: [descriptor(0, 11, "pipe", "pipe 7  read  5 B waits")] },
  ], files(pipe(10, 7, 1), pipe(11, 7, 0)));
  deepEqual(graph.objects, [{ key: "pipe 7", kind: "pipe", what: "pipe 7  5 B waits" }]);
  deepEqual(graph.edges, [
    { pid: 1, fds: [1], object: "pipe 7", direction: "out" },
    { pid: 2, fds: [0], object: "pipe 7", direction: "in" },
  ]);
});

Deno.test("graphOf() shows files only where two tables have them, and one edge for many numbers", () => {
  const { objects, edges } = graphOf([
    {
      pids: [1],
      descriptors: [descriptor(0, 1, "file"), descriptor(1, 2, "file"), descriptor(9, 1, "file")],
    },
    { pids: [2], descriptors: [descriptor(4, 3, "file")] },
  ], files(reg(1, "/shared"), reg(2, "/own"), reg(3, "/shared", 1)));
  deepEqual(objects.map(({ key }) => key), ["path /shared"]);
  deepEqual(edges, [
    { pid: 1, fds: [0, 9], object: "path /shared", direction: "in" },
    { pid: 2, fds: [4], object: "path /shared", direction: "out" },
  ]);
});

Deno.test("graphOf() links both ends of a TCP connection, once", () => {
  const { links, objects } = graphOf([
    { pids: [1], descriptors: [descriptor(3, 1, "inet socket"), descriptor(4, 3, "inet socket")] },
    { pids: [2], descriptors: [descriptor(3, 2, "inet socket")] },
  ], files(socket(1, 80, 4000), socket(2, 4000, 80), socket(3, 80, 5000)));
  deepEqual(objects.length, 3);
  deepEqual(links, [["socket 901", "socket 902"]]);
});

Deno.test("graphOf() leaves out devices that connect nobody", () => {
  const tables = [1, 2].map((pid) => ({
    pids: [pid],
    descriptors: [descriptor(0, 10, "file"), descriptor(1, 11, "file")],
  }));
  const graph = graphOf(tables, files(reg(10, "/dev/null"), reg(11, "/tmp/log")));
  deepEqual(graph.objects.length, 1);
});
