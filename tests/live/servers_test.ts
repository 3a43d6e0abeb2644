/**
 * Real servers and clients of TCP, checkpointed under load by somebody outside, once left running and once killed and
 * restored: who is at the other end sees a pause and nothing worse.
 */
import assert from "@std/assert";
import { checkpoint, restore } from "../../mod.ts";
import { EchoClient } from "../harness/echo_client.ts";
import { waitUntil } from "../harness/processes.ts";
import { locateProgram } from "../../scripts/setup/unpacked.ts";
import { Subject, SUBJECT_PATH } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { script } from "../programs/scenario.ts";
import { Lines } from "../servers/lines.ts";
import { ImageHome } from "./round_trip.ts";

const options = { ...UNHURRIED, tcpEstablished: true };

/** A port that nobody has. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Whether somebody listens. */
async function answers(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

function isThere(file: string): boolean {
  try {
    return Deno.statSync(file).isFile;
  } catch {
    return false;
  }
}

/** Starts a server, and waits until it listens. */
async function startServer(port: number, command: string, ...args: string[]): Promise<Subject> {
  const { program, env } = locateProgram(command, SUBJECT_PATH.split(":"), isThere);
  const subject = await Subject.spawn(program, { args, env });
  for (let attempt = 0; !await answers(port); attempt++) {
    assert.ok(attempt < 1000 && subject.alive, `${subject.output()}${subject.errors()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return subject;
}

/**
 * Checkpoints a program while it runs on, and then ends it and brings it back, at moments that `goesOn` tells.
 *
 * @returns what ends it: nginx cannot be found by its environment, which it writes over
 */
async function disturb(
  subject: Subject,
  goesOn: () => Promise<void>,
): Promise<AsyncDisposable> {
  using images = new ImageHome();
  await goesOn();
  await checkpoint(subject.pid, {
    directory: `${images.directory}-1`,
    options,
    leaveRunning: true,
  });
  await goesOn();
  await checkpoint(subject.pid, { directory: `${images.directory}-2`, options });
  await subject.waitGone();
  const tree = await restore(`${images.directory}-2`);
  await goesOn();
  return {
    async [Symbol.asyncDispose]() {
      tree.kill(15);
      await tree.wait();
    },
  };
}

Deno.test("redis-server loses no write that it has acknowledged, and doubles none", async () => {
  const port = freePort();
  const args = ["--port", `${port}`, "--save", "", "--appendonly", "no"];
  await using subject = await startServer(port, "redis-server", ...args);
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const reader = connection.readable.pipeThrough(new TextDecoderStream()).getReader();
  let received = "";
  const line = async (): Promise<string> => {
    for (;;) {
      const end = received.indexOf("\r\n");
      if (end >= 0) {
        const found = received.slice(0, end);
        received = received.slice(end + 2);
        return found;
      }
      const { value, done } = await reader.read();
      assert.ok(!done, "it has closed the connection");
      received += value;
    }
  };
  const send = async (text: string): Promise<void> => {
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(await connection.write(bytes));
  };
  let written = 0;
  let isOver = false;
  const load = (async () => {
    while (!isOver) {
      const numbers = Array.from({ length: 50 }, (_, index) => `${written + index},`);
      await send(
        numbers.map((text) => `*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n$${text.length}\r\n${text}\r\n`)
          .join(""),
      );
      for (const _ of numbers) assert.match(await line(), /^:\d+$/);
      written += numbers.length;
    }
  })();
  await using _tree = await disturb(subject, async () => {
    const before = written;
    await waitUntil(() => written > before + 500, "writes", 30_000);
  });
  isOver = true;
  await load;
  await send("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
  assert.match(await line(), /^\$\d+$/);
  assert.equal(await line(), Array.from({ length: written }, (_, index) => `${index},`).join(""));
});

Deno.test("two redis-servers in one tree go on with their replication", async () => {
  const port = freePort();
  let other = freePort();
  while (other === port) other = freePort();
  const { program, env } = locateProgram("redis-server", SUBJECT_PATH.split(":"), isThere);
  const server = (...args: (string | number)[]) =>
    // Each ends with the shell: it overwrites its environment, by which what tests leave behind is found.
    `setpriv --pdeathsig KILL ${program} --save '' --repl-diskless-sync-delay 0 --bind 127.0.0.1 ${
      args.join(" ")
    } &`;
  const servers = `${server("--port", port)} ${
    server("--port", other, "--replicaof", "127.0.0.1", port)
  } wait`;
  await using subject = await Subject.spawn("/bin/bash", { args: ["-c", servers], env });
  /** Whether a reply is there to its end, which is text of a length that it begins with. */
  const isWhole = (said: string): boolean => {
    const [head, length] = /^\$(\d+)\r\n/.exec(said) ?? [];
    if (head === undefined) return /^\$-1\r\n/.test(said);
    return said.length === head.length + Number(length) + 2;
  };
  /** What one of them says to commands of one connection. */
  const ask = async (
    port: number,
    commands: string,
    isAll: (said: string) => boolean = isWhole,
  ): Promise<string> => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(new TextEncoder().encode(`${commands}\r\n`));
    const bytes = new Uint8Array(65536);
    let said = "";
    while (!isAll(said)) {
      const size = await connection.read(bytes);
      if (size === null) break;
      said += new TextDecoder().decode(bytes.subarray(0, size));
    }
    return said;
  };
  const replicated = async (key: string): Promise<void> => {
    // What it waits for is what was written by the same connection.
    const both = `SET ${key} written\r\nWAIT 1 30000`;
    const waited = await ask(port, both, (said) => /:\d+\r\n$/.test(said));
    assert.match(waited, /^\+OK\r\n:1\r\n$/);
    assert.match(await ask(other, `GET ${key}`), /written/);
  };
  const isLinked = async () =>
    await answers(port) && await answers(other) &&
    /master_link_status:up/.test(await ask(other, "INFO replication"));
  for (let attempt = 0; !await isLinked(); attempt++) {
    assert.ok(attempt < 1000 && subject.alive, `${subject.output()}${subject.errors()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  let round = 0;
  await using _tree = await disturb(subject, () => replicated(`key${round++}`));
  assert.equal(round, 3);
  // The replica has its connection still: it has not begun anew.
  assert.match(await ask(port, "INFO stats"), /sync_full:1\b/);
});

/**
 * Asks a server of HTTP again and again, by a new connection each time, until it is stopped: each is answered or refused,
 * and none is reset.
 */
class Newcomers {
  /** How many were answered. */
  answered = 0;
  #isOver = false;
  readonly #asking: Promise<void>;

  constructor(port: number) {
    this.#asking = this.#ask(port);
    // Who waits for it is told later.
    this.#asking.catch(() => {});
  }

  async #ask(port: number): Promise<void> {
    while (!this.#isOver) {
      try {
        const connection = await Deno.connect({ hostname: "127.0.0.1", port });
        await connection.write(new TextEncoder().encode("HEAD / HTTP/1.0\r\n\r\n"));
        assert.match(await new Response(connection.readable).text(), /^HTTP/);
        this.answered++;
      } catch (error) {
        if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#asking;
  }
}

/** Asks a server of HTTP for the same again and again, all by one connection, until it is stopped. */
class KeptAlive {
  answered = 0;
  #isOver = false;
  readonly #asking: Promise<void>;

  constructor(port: number) {
    this.#asking = this.#ask(port);
    // Who waits for it is told later.
    this.#asking.catch(() => {});
  }

  async #ask(port: number): Promise<void> {
    using lines = await Lines.connect(port);
    while (!this.#isOver) {
      await lines.send("HEAD /file HTTP/1.1\r\nHost: localhost\r\n\r\n");
      assert.equal(await lines.line(), "HTTP/1.1 200 OK");
      while (await lines.line() !== "");
      this.answered++;
    }
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#asking;
  }
}

/** Bytes that are told apart by their places. */
function numberedBytes(count: number): Uint8Array<ArrayBuffer> {
  const words = Uint32Array.from({ length: count / 4 }, (_, index) => Math.imul(index, 2654435761));
  return new Uint8Array(words.buffer);
}

Deno.test("nginx with workers goes on with a slow download and one that asks again and again, while others come and go", async () => {
  const port = freePort();
  using home = new ImageHome();
  const room = home.directory;
  Deno.mkdirSync(room, { mode: 0o755 });
  const contents = numberedBytes(20_000_000);
  Deno.writeFileSync(`${room}/file`, contents);
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  Deno.writeTextFileSync(
    `${room}/nginx.conf`,
    `user root; worker_processes 2; daemon off; pid ${room}/pid; error_log stderr;
    events { worker_connections 64; }
    http {
      access_log off; keepalive_timeout 1h; keepalive_requests 1000000;
      ${paths.map((name) => `${name}_temp_path ${room}/${name};`).join(" ")}
      server { listen 127.0.0.1:${port}; root ${room}; limit_rate 4m; }
    }`,
  );
  await using subject = await startServer(
    port,
    "nginx",
    // Where its package is only unpacked it has no directory for logs.
    "-e",
    "stderr",
    "-c",
    `${room}/nginx.conf`,
  );
  const { body } = await fetch(`http://127.0.0.1:${port}/file`);
  let received = 0;
  const download = (async () => {
    for await (const bytes of body ?? []) {
      assert.deepEqual(bytes, contents.subarray(received, received + bytes.length));
      received += bytes.length;
    }
  })();
  const newcomers = new Newcomers(port);
  const kept = new KeptAlive(port);
  await using _tree = await disturb(subject, async () => {
    const [before, answered, again] = [received, newcomers.answered, kept.answered];
    await waitUntil(
      () => received > before && newcomers.answered > answered + 20 && kept.answered > again + 20,
      "bytes and answers",
      30_000,
    );
  });
  await newcomers.end();
  await kept.end();
  await download;
  assert.equal(received, contents.length);
});

Deno.test("Node.js serves one request after the other on one connection", async () => {
  const port = freePort();
  await using subject = await startServer(port, "node", script("count.mjs"), `${port}`);
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 1 });
  let count = 0;
  let isOver = false;
  const load = (async () => {
    while (!isOver) {
      const body = `x${count}`;
      const response = await fetch(`http://127.0.0.1:${port}`, { method: "POST", body, client });
      assert.equal(await response.text(), `${++count} ${body}`);
    }
  })();
  await using _tree = await disturb(subject, async () => {
    const before = count;
    await waitUntil(() => count > before + 10, "answers", 30_000);
  });
  isOver = true;
  await load;
});

Deno.test("Python's asyncio sends back every byte of three clients", async () => {
  const port = freePort();
  const name = script("echo.py");
  await using subject = await startServer(port, "/usr/bin/python3", name, `${port}`);
  const clients = await Promise.all(
    Array.from({ length: 3 }, () => EchoClient.connect(port, "127.0.0.1")),
  );
  await using _tree = await disturb(subject, async () => {
    for (const client of clients) await client.goesOn();
  });
  for (const client of clients) await client.end();
});

Deno.test("curl goes on in the middle of a download", async () => {
  const contents = numberedBytes(10_000_000);
  let sent = 0;
  const pull = async (controller: ReadableByteStreamController): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const piece = contents.slice(sent, sent + 20_000);
    sent += piece.length;
    if (piece.length === 0) controller.close();
    else controller.enqueue(piece);
  };
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response(new ReadableStream({ type: "bytes", pull })),
  );
  const url = `http://127.0.0.1:${server.addr.port}/`;
  await using subject = await Subject.spawn("curl", { args: ["-s", "-S", "-o", "file", url] });
  await using _tree = await disturb(subject, async () => {
    const before = sent;
    await waitUntil(() => sent > before + 100_000, "bytes", 30_000);
  });
  await waitUntil(() => !subject.alive, "the end of the download", 30_000);
  assert.equal(subject.errors(), "");
  assert.deepEqual(Deno.readFileSync(`${subject.cwd}/file`), contents);
});
