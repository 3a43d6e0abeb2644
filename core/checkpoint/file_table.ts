/**
 * `files.img`: every open file description and every path that the images refer to, by id.
 *
 * @module
 */
import { decodeUserDevice, encodeKernelDevice } from "../../images/device.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { FILE_TIMES, FILES, LINK_REMAPS } from "../../images/kinds/files.ts";
import type { ImageWriter } from "../../images/mod.ts";
import type { FileImage, FileTable } from "../plugin.ts";
import { existingParent } from "./file_location.ts";
import { GhostWriter, inodeBehind } from "./ghosts.ts";
import type { LinkRemaps } from "./link_remaps.ts";

const S_IFMT = 0o170000, S_IFREG = 0o100000;

/**
 * Gives ids and writes the entries. CRIU counts its ids from 1.
 *
 * @param links makes names of deleted files
 */
export function createFileTable(writer: ImageWriter, links: LinkRemaps): FileTable {
  let last = 0;
  const paths = new Map<string, number>();
  const add = (make: (id: number) => FileImage): number => {
    const id = ++last;
    writer.append(FILES, null, { ...make(id), id });
    return id;
  };
  const ghosts = new GhostWriter(writer, (behind, path, { size, mode, dev, ino }) =>
    add((id) => {
      const name = links.make(behind, existingParent(path), id);
      const device = encodeKernelDevice(decodeUserDevice(Number(dev)));
      writer.append(LINK_REMAPS, null, { id, dev: device, ino });
      const sized = (mode & S_IFMT) === S_IFREG ? size : undefined;
      const reg = { id, flags: 0, pos: 0n, fown: NO_OWNER, name, size: sized, mode };
      return { type: fd_types.REG, reg };
    }));
  return {
    add,
    ghost: (id, behind) => ghosts.save(id, behind),
    path(path, flags, size, mode, behind, { buildId = [], mtime } = {}) {
      // Files of the same name may have been deleted one after the other.
      const key = `${flags} ${behind === undefined ? "" : inodeBehind(behind)} ${path}`;
      let id = paths.get(key);
      if (id === undefined) {
        id = add((id) => ({
          type: fd_types.REG,
          reg: {
            id,
            flags,
            pos: 0n,
            fown: NO_OWNER,
            name: path,
            size,
            mode,
            buildId: [...buildId],
          },
        }));
        if (mtime !== undefined) writer.append(FILE_TIMES, null, { id, mtime });
        paths.set(key, id);
        if (behind !== undefined) ghosts.save(id, behind);
      }
      return id;
    },
  };
}
