/**
 * A plugin of one's own: it saves descriptors of `/dev/net/tun`, which the built-in plugins refuse. Each stands for
 * a network interface that lives as long as the descriptor. What has to be known of it (name, flags, whether it is
 * up) goes into an image of this plugin, `tun.json`.
 *
 *     stasis checkpoint PID -D saved --plugin examples/device_plugin.ts
 *     stasis restore saved --plugin examples/device_plugin.ts
 *
 * @module
 */
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  defineRawImageKind,
  fd_types,
  type RestoreHooks,
  type RestoreSession,
} from "stasis";

/** The image: JSON, so a kind without CRIU's framing. */
const TUN_IMAGE = defineRawImageKind({ name: "TUN", file: "tun.json" });

/** What is saved of one descriptor, by the id of its open file description. */
interface SavedTun {
  readonly id: number;
  /** The status flags (`O_*`) that it was opened with. */
  readonly flags: number;
  /** The interface; absent where the descriptor was opened and never attached to one. */
  readonly interface?: { readonly name: string; readonly flags: number; readonly up: boolean };
}

// From include/uapi/linux/if_tun.h, sockios.h, if.h and asm-generic/fcntl.h.
const TUNGETIFF = 0x800454d2;
const TUNSETIFF = 0x400454ca;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
/** The flags of TUNGETIFF that TUNSETIFF takes: IFF_TUN, TAP, NO_PI, MULTI_QUEUE, VNET_HDR, ONE_QUEUE. */
const SETTABLE = 0x1 | 0x2 | 0x1000 | 0x0100 | 0x4000 | 0x2000;
const AT_FDCWD = -100;
const O_CLOEXEC = 0o2000000;
const AF_INET = 2;
const SOCK_DGRAM = 2;
/** EBADFD: the descriptor is attached to no interface. */
const NOT_ATTACHED = -77n;

/** `struct ifreq`: 16 bytes of name, then, among other things, 16 bits of flags. */
const IFREQ_SIZE = 40;

function makeIfreq(name: string, flags: number): Uint8Array {
  const bytes = new Uint8Array(IFREQ_SIZE);
  new TextEncoder().encodeInto(name, bytes.subarray(0, 15));
  new DataView(bytes.buffer).setUint16(16, flags, true);
  return bytes;
}

function readIfreq(bytes: Uint8Array): { name: string; flags: number } {
  const end = bytes.indexOf(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, IFREQ_SIZE);
  return {
    name: new TextDecoder().decode(bytes.subarray(0, end)),
    flags: view.getUint16(16, true),
  };
}

function isUp(name: string): boolean {
  return (parseInt(Deno.readTextFileSync(`/sys/class/net/${name}/flags`)) & IFF_UP) !== 0;
}

function checkpoint(session: CheckpointSession): CheckpointHooks {
  /** What TUNGETIFF said, by process and descriptor. */
  const attached = new Map<string, SavedTun["interface"]>();
  const saved: SavedTun[] = [];
  return {
    // These calls are made by the process itself, in one program with those of all other plugins.
    collectTask(task, program) {
      const questions = task.proc.descriptors
        .filter(({ link }) => link.text === "/dev/net/tun")
        .map(({ fd }) => {
          const answer = program.output(IFREQ_SIZE);
          return { fd, answer, result: program.try("ioctl", fd, TUNGETIFF, answer) };
        });
      return (reply) => {
        for (const { fd, answer, result } of questions) {
          if (reply.result(result) === NOT_ATTACHED) continue;
          const { name, flags } = readIfreq(reply.output(answer));
          attached.set(`${task.pid}/${fd}`, { name, flags: flags & SETTABLE, up: isUp(name) });
        }
      };
    },
    descriptors: [{
      kind: "tun",
      claims: ({ link }) => link.text === "/dev/net/tun",
      // Called once for each open file description, however many descriptors lead to it.
      dump({ descriptor, task, id }) {
        session.requirePlugin(); // nobody restores these images without this plugin
        const flags = descriptor.info.flags & ~O_CLOEXEC;
        saved.push({ id, flags, interface: attached.get(`${task.pid}/${descriptor.fd}`) });
        return { type: fd_types.TUNF };
      },
    }],
    dumpTree() {
      if (saved.length === 0) return;
      const path = session.writer.createRaw(TUN_IMAGE, null);
      Deno.writeTextFileSync(path, JSON.stringify(saved, null, 2));
    },
  };
}

function restore(session: RestoreSession): RestoreHooks {
  const saved = new Map<number, SavedTun>();
  return {
    load({ problem }) {
      if (!session.images.has(TUN_IMAGE, null)) return;
      const text = Deno.readTextFileSync(session.images.pathOf(TUN_IMAGE, null));
      for (const one of JSON.parse(text) as SavedTun[]) {
        saved.set(one.id, one);
        // While the checkpoint asks whether this could be restored, the program itself has the interface.
        if (session.rehearsal || one.interface === undefined) continue;
        if (exists(`/sys/class/net/${one.interface.name}`)) {
          problem({
            what: `the network interface ${one.interface.name} exists already`,
            hint: `delete it: ip link delete ${one.interface.name}`,
          });
        }
      }
    },
    descriptors: [{
      kind: "tun",
      restores: ({ type, id }) => type === fd_types.TUNF && saved.has(id),
      // Only adds calls to a program: nothing happens before the plan runs.
      plan({ file, program }) {
        const { flags, interface: device } = saved.get(file.id)!;
        const fd = program.call("openat", AT_FDCWD, "/dev/net/tun", flags | O_CLOEXEC, 0);
        if (device === undefined) return fd;
        const attach = program.data(makeIfreq(device.name, device.flags), device.name);
        program.call("ioctl", fd, TUNSETIFF, attach);
        if (device.up) {
          const socket = program.call("socket", AF_INET, SOCK_DGRAM | O_CLOEXEC, 0);
          const up = program.data(makeIfreq(device.name, IFF_UP), `${device.name} up`);
          program.call("ioctl", socket, SIOCSIFFLAGS, up);
          program.call("close", socket);
        }
        return fd;
      },
    }],
  };
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

export default definePlugin({
  name: "tun",
  description: "descriptors of /dev/net/tun and their network interfaces",
  images: [TUN_IMAGE],
  checkpoint,
  restore,
});
