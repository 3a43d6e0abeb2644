import { equal } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { STATE } from "../../core/linux/net/unix_diag.ts";
import { fd_types, file_entrySchema } from "../../images/gen/descriptors_pb.ts";
import { type netlink_sk_entry, netlink_sk_entrySchema } from "../../images/gen/netlink_pb.ts";
import { type packet_sock_entry, packet_sock_entrySchema } from "../../images/gen/packet_pb.ts";
import { type inet_sk_entry, inet_sk_entrySchema } from "../../images/gen/inet_pb.ts";
import { sampleSocket } from "../../plugins/unix/sample_sockets.ts";
import { describeFile } from "./file.ts";

function describe(...args: Parameters<typeof sampleSocket>): string {
  const { entry } = sampleSocket(...args);
  const file = create(file_entrySchema, { type: fd_types.UNIXSK, id: entry.id, usk: entry });
  const { kind, what } = describeFile(fd_types.UNIXSK, file);
  equal(kind, "unix socket");
  return what;
}

Deno.test("describeFile() shows what a unix socket is connected to", () => {
  const name = new TextEncoder().encode("\0app");
  equal(describe(1, { peer: 2 }), "socket:[1] stream  to socket:[2]");
  equal(
    describe(1, { shutdown: 3 }),
    "socket:[1] stream  its peer is closed  both directions shut down",
  );
  equal(describe(1, { type: 2, state: STATE.CLOSE }), "socket:[1] dgram  not connected");
  equal(describe(1, { type: 5, state: STATE.LISTEN, name }), "socket:[1] seqpacket  @app  listens");
});

Deno.test("describeFile() shows where an internet socket is bound and to whom it is connected", () => {
  const shown = (init: Partial<inet_sk_entry>): string => {
    const usual = { family: 2, type: 1, proto: 6, srcAddr: [0], dstAddr: [0], ino: 7 };
    const isk = Object.assign(create(inet_sk_entrySchema, usual), init);
    const file = create(file_entrySchema, { type: fd_types.INETSK, id: 1, isk });
    return describeFile(fd_types.INETSK, file).what;
  };
  const loopback = [0x0100007f];
  equal(
    shown({ state: 10, srcPort: 80, srcAddr: loopback }),
    "socket:[7] TCP socket  127.0.0.1:80  listens",
  );
  equal(
    shown({
      type: 2,
      proto: 17,
      family: 10,
      state: 1,
      srcPort: 1,
      dstPort: 2,
      srcAddr: [0, 0, 0, 0x01000000],
      dstAddr: [0, 0, 0xffff0000, 0x0100007f],
    }),
    "socket:[7] UDP socket  [::1]:1  to [::ffff:127.0.0.1]:2",
  );
  equal(
    shown({ state: 7, shutdown: 3 }),
    "socket:[7] TCP socket  closed  both directions shut down",
  );
});

Deno.test("describeFile() shows addresses and groups of netlink sockets, and what packet sockets hear", () => {
  const netlink = (init: Partial<netlink_sk_entry>): string => {
    const nlsk = Object.assign(create(netlink_sk_entrySchema, { ino: 7 }), init);
    const file = create(file_entrySchema, { type: fd_types.NETLINKSK, id: 1, nlsk });
    return describeFile(fd_types.NETLINKSK, file).what;
  };
  equal(netlink({ protocol: 0 }), "socket:[7] NETLINK_ROUTE  not bound");
  equal(
    netlink({ protocol: 15, portid: 99, groups: [3] }),
    "socket:[7] NETLINK_KOBJECT_UEVENT  address 99  in 2 groups (1, 2)",
  );
  equal(
    netlink({ protocol: 19, portid: 5, state: 1, dstGroup: 4 }),
    "socket:[7] netlink protocol 19  address 5  to group 4",
  );
  const packet = (init: Partial<packet_sock_entry>): string => {
    const psk = Object.assign(create(packet_sock_entrySchema, { type: 3 }), init);
    const file = create(file_entrySchema, { type: fd_types.PACKETSK, id: 1, psk });
    return describeFile(fd_types.PACKETSK, file).what;
  };
  equal(packet({ protocol: 0x0300, ifindex: 2 }), "raw  every protocol  interface 2");
  equal(packet({ type: 2, protocol: 0x0008 }), "without headers  protocol 0x0800  all interfaces");
});
