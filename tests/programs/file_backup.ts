/**
 * A plugin that copies the files of a program while its tree stands still: images hold processes, not the
 * contents of files, and a program that was left running goes on writing.
 *
 * @module
 */
import { definePlugin, type Plugin } from "../../mod.ts";

/** A copy of directories as they were at a checkpoint. */
export class FileBackup {
  /** Makes the copy; a plugin for the checkpoint. */
  readonly plugin: Plugin;

  /**
   * @param directories what to copy: plain files and directories
   * @param copy where to; it must not exist
   */
  constructor(readonly directories: readonly string[], readonly copy: string) {
    this.plugin = definePlugin({
      name: "file-backup",
      description: "copies the files of a test",
      checkpoint: () => ({
        dumpTree: () => directories.forEach((from, at) => copyTree(from, `${copy}/${at}`)),
      }),
    });
  }

  /** Makes the directories what they were. */
  putBack(): void {
    this.directories.forEach((directory, at) => {
      for (const { name } of Deno.readDirSync(directory)) {
        Deno.removeSync(`${directory}/${name}`, { recursive: true });
      }
      copyTree(`${this.copy}/${at}`, directory);
    });
  }
}

function copyTree(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) copyTree(`${from}/${name}`, `${to}/${name}`);
    else Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}
