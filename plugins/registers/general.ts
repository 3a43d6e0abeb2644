/**
 * General registers as images have them. Pure.
 *
 * @module
 */
import { type user_x86_regs_entry, user_x86_regs_mode } from "../../images/gen/registers_x86_pb.ts";
import { REGISTER_NAMES, type RegisterName, Registers } from "../../core/linux/x86_64/registers.ts";

/** The image's field of each register. */
const FIELD = {
  ...Object.fromEntries(REGISTER_NAMES.map((name) => [name, name])),
  orig_ax: "origAx",
  fs_base: "fsBase",
  gs_base: "gsBase",
} as Readonly<Record<RegisterName, RegisterField>>;

type RegisterField = Exclude<RegisterName, `${string}_${string}`> | "origAx" | "fsBase" | "gsBase";
type RegistersImage = Record<RegisterField, bigint>;

/** The image of registers. */
export function encodeRegisters(from: Registers): RegistersImage & { mode: user_x86_regs_mode } {
  const image = Object.fromEntries(REGISTER_NAMES.map((name) => [FIELD[name], from.get(name)]));
  return { ...image as RegistersImage, mode: user_x86_regs_mode.NATIVE };
}

/** The registers of an image. */
export function decodeRegisters(image: user_x86_regs_entry): Registers {
  const registers = new Registers();
  for (const name of REGISTER_NAMES) registers.set(name, image[FIELD[name]]);
  return registers;
}
