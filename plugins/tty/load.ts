/**
 * The terminals of the images, put together.
 *
 * @module
 */
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import {
  type tty_extra_entry,
  type tty_file_entry,
  type tty_info_entry,
  TtyType,
} from "../../images/gen/terminals_pb.ts";
import { FILES, TTY_DATA, TTY_EXTRA } from "../../images/kinds/files.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { StasisError } from "../../base/errors.ts";
import { uniqueById } from "../../images/unique.ts";
import { slavePath } from "./slave_path.ts";
import { isHungUpSlave, isMaster, isRestoredTerminal, slaveId, terminalInfos } from "./image.ts";

/** A pseudoterminal whose master is in the tree. */
export interface Pty {
  /** N of /dev/pts/N, as it was. */
  readonly index: number;
  readonly info: tty_info_entry;
  readonly master: tty_file_entry;
  /** What its slave has; absent where nobody had it open. */
  readonly slaveInfo?: tty_info_entry;
  readonly slaves: readonly tty_file_entry[];
  readonly extra?: tty_extra_entry;
  /** For the slave's reader, and for the master's. */
  readonly input: Uint8Array;
  readonly output: Uint8Array;
}

/** The terminals that are restored. */
export interface Terminals {
  /** By index, ascending. */
  readonly ptys: readonly Pty[];
  /** Slaves that have been hung up. */
  readonly hungUp: readonly tty_file_entry[];
  /** All others, which are opened by their names. */
  readonly named: readonly { readonly file: tty_file_entry; readonly info: tty_info_entry }[];
}

const NOTHING = new Uint8Array(0);

/** Puts them together. @throws {StasisError} `bad-image` */
export function loadTerminals(images: ImageDirectory): Terminals {
  const all = images.has(FILES, null) ? images.readList(FILES, null) : [];
  const files = all.filter((file: file_entry) => isRestoredTerminal(file, images))
    .map(({ tty }) => tty as tty_file_entry);
  if (files.length === 0) return { ptys: [], hungUp: [], named: [] };
  const infos = terminalInfos(images);
  const data = new Map<number, Uint8Array>();
  for (const one of images.has(TTY_DATA, null) ? images.readList(TTY_DATA, null) : []) {
    data.set(one.ttyId, one.data);
  }
  const extras = uniqueById(
    images.has(TTY_EXTRA, null) ? images.readList(TTY_EXTRA, null) : [],
    ({ ttyId }) => ttyId,
    images.pathOf(TTY_EXTRA, null),
    "terminal",
  );
  const byTerminal = Map.groupBy(files, ({ ttyInfoId }) => ttyInfoId);
  const ptys: Pty[] = [];
  const hungUp: tty_file_entry[] = [];
  const named: { file: tty_file_entry; info: tty_info_entry }[] = [];
  for (const [id, opened] of byTerminal) {
    const info = infos.get(id) as tty_info_entry;
    if (isHungUpSlave(info)) hungUp.push(...opened);
    else if (info.type !== TtyType.PTY) named.push(...opened.map((file) => ({ file, info })));
    else if (isMaster(info)) {
      const index = info.pty?.index ?? 0;
      const slave = slaveId(index);
      if (opened.length > 1) {
        throw new StasisError("bad-image", `${images.path} has two masters of ${slavePath(index)}`);
      }
      ptys.push({
        index,
        info,
        master: opened[0] as tty_file_entry,
        slaveInfo: infos.get(slave),
        slaves: byTerminal.get(slave) ?? [],
        extra: extras.get(slave),
        input: data.get(slave) ?? NOTHING,
        output: data.get(id) ?? NOTHING,
      });
    }
  }
  ptys.sort((a, b) => a.index - b.index);
  return { ptys, hungUp, named };
}
