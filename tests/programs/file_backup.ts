/**
 * A plugin that copies the files of a program while its tree stands still: images hold processes, not the
 * contents of files, and a program that was left running goes on writing.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../mod.ts";

/** A copy of a directory as it was at a checkpoint. */
export class FileBackup {
  /** Makes the copy; a plugin for the checkpoint. */
  readonly plugin: Plugin;

  /**
   * @param directory what to copy: plain files and directories
   * @param copy where to; it must not exist
   */
  constructor(readonly directory: string, readonly copy: string) {
    this.plugin = definePlugin({
      name: "file-backup",
      description: "copies the files of a test",
      checkpoint: () => ({ dumpTree: () => copyTree(directory, copy) }),
    });
  }

  /** Makes the directory what it was. */
  putBack(): void {
    for (const { name } of Deno.readDirSync(this.directory)) {
      Deno.removeSync(`${this.directory}/${name}`, { recursive: true });
    }
    copyTree(this.copy, this.directory);
  }
}

function copyTree(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) copyTree(`${from}/${name}`, `${to}/${name}`);
    else Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}
