/**
 * struct prctl_mm_map (include/uapi/linux/prctl.h): what prctl(PR_SET_MM, PR_SET_MM_MAP) sets of an address
 * space at once. The options that set one field each need CAP_SYS_RESOURCE, this one does not.
 *
 * @module
 */
import { defineStruct } from "./struct.ts";

/** struct prctl_mm_map. */
export const prctlMmMap = defineStruct("prctl_mm_map", 104, {
  startCode: [0, "u64"],
  endCode: [8, "u64"],
  startData: [16, "u64"],
  endData: [24, "u64"],
  startBrk: [32, "u64"],
  brk: [40, "u64"],
  startStack: [48, "u64"],
  argStart: [56, "u64"],
  argEnd: [64, "u64"],
  envStart: [72, "u64"],
  envEnd: [80, "u64"],
  /** Address of the auxiliary vector. */
  auxv: [88, "u64"],
  /** Its size in bytes. */
  auxvSize: [96, "u32"],
  /** A descriptor of the executable, or -1 to leave it. */
  exeFd: [100, "u32"],
});
