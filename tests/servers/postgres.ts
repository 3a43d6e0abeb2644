/**
 * PostgreSQL, whose client psql is in the middle of a transaction at most moments, and asks what parallel workers count.
 *
 * @module
 */
import assert from "@std/assert";
import { Lines } from "./lines.ts";
import type { Trial } from "./trial.ts";

/** Where Debian has it, by versions. */
const POSTGRES = "/usr/lib/postgresql";
/** PostgreSQL refuses to be root: a user who may read and write what is root's. */
const AS_NOBODY = [
  "setpriv",
  ...["--reuid=65534", "--regid=65534", "--clear-groups"],
  ...["--inh-caps=+dac_override", "--ambient-caps=+dac_override"],
];
/** How many rows come by one transaction, each by a statement of its own. */
const ROWS = 10;
/** Every query by workers, whatever that costs. */
const PARALLEL = `
SET max_parallel_workers_per_gather = 2; SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET client_min_messages = error;
`;

/** A program of the newest; empty: there is none. */
function postgresProgram(name: string): string {
  try {
    const versions = [...Deno.readDirSync(POSTGRES)].map((version) => Number(version.name));
    return `${POSTGRES}/${Math.max(...versions)}/bin/${name}`;
  } catch {
    return name;
  }
}

async function run(cwd: string, [program = "", ...args]: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, cwd }).output();
  assert.ok(success, `${program}: ${new TextDecoder().decode(stderr)}`);
}

/** psql in a process, line by line. */
interface Psql {
  readonly lines: Lines;
  /** Ends it, and waits until it has. */
  quit(): Promise<void>;
}

async function connect(port: number): Promise<Psql> {
  const args = ["-XAtqw", "-h", "127.0.0.1", "-p", `${port}`, "-U", "postgres", "postgres"];
  // Refused: who calls tries again.
  (await Deno.connect({ hostname: "127.0.0.1", port })).close();
  const ready = new Deno.Command("psql", { args: [...args, "-c", "SELECT 1"], stderr: "null" });
  // It is starting up.
  while (!(await ready.output()).success) await new Promise((wake) => setTimeout(wake, 100));
  const child = new Deno.Command("psql", { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter(), reader = child.stdout.getReader({ mode: "byob" });
  const lines = new Lines({
    async write(bytes) {
      await writer.write(bytes);
      return bytes.byteLength;
    },
    async read(bytes) {
      const { value } = await reader.read(new Uint8Array(bytes.byteLength));
      if (value === undefined || value.byteLength === 0) return null;
      bytes.set(value);
      return value.byteLength;
    },
    close: () => child.kill("SIGKILL"),
  });
  return {
    lines,
    async quit() {
      await writer.close();
      await reader.cancel();
      await child.status;
    },
  };
}

/** The server, with a connection that goes from one transaction into the next. */
export const POSTGRESQL: Trial = {
  needs: [postgresProgram("postgres"), "psql", "setpriv"],
  // SIGINT: at once, and its System V shared memory is removed.
  endsBy: 2,
  async command(room, port) {
    await run(room, ["mkdir", "-m", "700", "data"]);
    await run(room, ["chown", "65534:65534", "data"]);
    const small = ["--no-locale", "--no-sync", "--wal-segsize=1", "-U", "postgres", "-A", "trust"];
    await run(room, [...AS_NOBODY, postgresProgram("initdb"), "-D", "data", ...small]);
    // Otherwise it has files elsewhere, in /dev/shm, which it takes away when it ends.
    const settings = "dynamic_shared_memory_type = mmap\nunix_socket_directories = ''\n";
    await Deno.writeTextFile(`${room}/data/postgresql.conf`, settings, { append: true });
    return [...AS_NOBODY, postgresProgram("postgres"), "-D", "data", "-p", `${port}`];
  },
  async client(port) {
    const { lines, quit } = await connect(port);
    let isOver = false;
    await lines.send(`${PARALLEL} CREATE TABLE t(value bigint);\n`);
    let count = 0;
    return {
      async step() {
        if (count % ROWS === 0) await lines.send("BEGIN;\n");
        await lines.send(
          `INSERT INTO t VALUES (${count++}); SELECT count(*), sum(value) FROM t;\n`,
        );
        assert.equal(await lines.line(), `${count}|${count * (count - 1) / 2}`);
        if (count % ROWS === 0) await lines.send("COMMIT;\n");
      },
      async end() {
        await lines.send("ROLLBACK;\nSELECT count(*), count(DISTINCT value) FROM t;\n");
        const whole = count - count % ROWS;
        assert.equal(await lines.line(), `${whole}|${whole}`);
        await lines.send("EXPLAIN ANALYZE SELECT count(*), sum(value) FROM t;\n");
        let plan = "";
        while (!plan.includes("Execution Time")) plan += `${await lines.line()}\n`;
        assert.match(plan, /Workers Launched: [12]/);
        await quit();
        isOver = true;
      },
      [Symbol.dispose]() {
        if (!isOver) lines[Symbol.dispose]();
      },
    };
  },
};
