/**
 * The image of credentials, which today are in the image of their thread.
 *
 * @module
 */

import { creds_entrySchema } from "../gen/credentials_pb.ts";
import { defineImageKind } from "../kind.ts";
import { MAGICS } from "../magic.ts";

/** Credentials of a process, by pid, in images of CRIU before 2.0. */
export const CREDS = defineImageKind({
  name: "CREDS",
  file: "creds-%u.img",
  magic: MAGICS.CREDS,
  schema: creds_entrySchema,
});
