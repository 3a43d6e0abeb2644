/**
 * `files.img`: every open file description and every path that the images refer to, by id.
 *
 * @module
 */
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { FILES } from "../../images/kinds/files.ts";
import type { ImageWriter } from "../../images/mod.ts";
import type { FileImage, FileTable } from "../plugin.ts";
import { GhostWriter, inodeBehind } from "./ghosts.ts";

/** Gives ids and writes the entries. CRIU counts its ids from 1. */
export function createFileTable(writer: ImageWriter): FileTable {
  let last = 0;
  const paths = new Map<string, number>();
  const ghosts = new GhostWriter(writer);
  const add = (make: (id: number) => FileImage): number => {
    const id = ++last;
    writer.append(FILES, null, { ...make(id), id });
    return id;
  };
  return {
    add,
    ghost: (id, behind) => ghosts.save(id, behind),
    path(path, flags, size, mode, behind) {
      // Files of the same name may have been deleted one after the other.
      const key = `${flags} ${behind === undefined ? "" : inodeBehind(behind)} ${path}`;
      let id = paths.get(key);
      if (id === undefined) {
        id = add((id) => ({
          type: fd_types.REG,
          reg: { id, flags, pos: 0n, fown: NO_OWNER, name: path, size, mode },
        }));
        paths.set(key, id);
        if (behind !== undefined) ghosts.save(id, behind);
      }
      return id;
    },
  };
}
