/**
 * Servers that people run, and what a client does with each again and again.
 *
 * @module
 */
import assert from "@std/assert";
import { createSocket } from "node:dgram";
import { Agent, get } from "node:https";
import { GOS_OWN, V8S_OWN } from "../endurance/holdings.ts";
import { Lines } from "./lines.ts";
import { POSTGRESQL } from "./postgres.ts";
import type { Client, Trial } from "./trial.ts";

/** A client that gets each line back that it has sent. */
async function echo(port: number): Promise<Client> {
  const lines = await Lines.connect(port);
  let count = 0;
  return {
    async step() {
      const text = `line ${count++}`;
      await lines.send(`${text}\n`);
      assert.equal(await lines.line(), text);
    },
    [Symbol.dispose]: () => lines[Symbol.dispose](),
  };
}

/** Runs a command that must succeed. */
async function run(cwd: string, program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, cwd }).output();
  assert.ok(success, `${program}: ${new TextDecoder().decode(stderr)}`);
}

function write(room: string, name: string, text: string): string {
  Deno.writeTextFileSync(`${room}/${name}`, text);
  return `${room}/${name}`;
}

const REDIS: Trial = {
  needs: ["redis-server"],
  command: (_, port) => ["redis-server", "--port", `${port}`, "--save", ""],
  async client(port) {
    const lines = await Lines.connect(port);
    let count = 0;
    return {
      // Many at once: none that was acknowledged may be lost, and none doubled.
      async step() {
        const numbers = Array.from({ length: 50 }, () => count++);
        await lines.send(
          numbers.map((number) => `RPUSH l ${number}\r\nLTRIM l -1000 -1\r\nINCR n\r\n`).join(""),
        );
        for (const number of numbers) {
          assert.equal(await lines.line(), `:${Math.min(number + 1, 1001)}`);
          assert.equal(await lines.line(), "+OK");
          assert.equal(await lines.line(), `:${number + 1}`);
        }
      },
      async end() {
        await lines.send("LRANGE l 0 -1\r\n");
        const length = Number((await lines.line()).slice(1));
        for (let index = count - length; index < count; index++) {
          await lines.line();
          assert.equal(await lines.line(), `${index}`);
        }
      },
      [Symbol.dispose]: () => lines[Symbol.dispose](),
    };
  },
};

/** What a server of HTTPS says. */
function fetchText(port: number, agent: Agent, path = "/"): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, agent, path }, (response) => {
      let text = "";
      response.on("data", (bytes) => text += bytes);
      response.on("end", () => resolve(text));
    }).on("error", reject);
  });
}

/** Makes `key` and `cert` of a server of TLS. */
function makeCertificate(room: string): Promise<void> {
  const files = ["-keyout", "key", "-out", "cert", "-subj", "/CN=localhost"];
  return run(room, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", ...files);
}

const NODE_SERVER = `
import http from "node:http"; import https from "node:https"; import fs from "node:fs"; import crypto from "node:crypto";
const [port, secure] = process.argv.slice(2).map(Number);
const server = http.createServer(); server.listen(port, "127.0.0.1");
server.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = crypto.createHash("sha1").update(key).digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n" +
    "Sec-WebSocket-Accept: " + accept + "\\r\\n\\r\\n");
  let all = Buffer.alloc(0);
  socket.on("data", (bytes) => {
    all = Buffer.concat([all, bytes]);
    while (all.length >= 6 && all.length >= 6 + (all[1] & 127)) {
      const size = all[1] & 127, mask = all.subarray(2, 6);
      const text = Buffer.from(all.subarray(6, 6 + size).map((byte, at) => byte ^ mask[at % 4]));
      socket.write(Buffer.concat([Buffer.from([0x81, size]), text]));
      all = all.subarray(6 + size);
    }
  });
});
const options = { key: fs.readFileSync("key"), cert: fs.readFileSync("cert"), keepAliveTimeout: 600000 };
https.createServer(options, (_, answer) => answer.end("hello")).listen(secure, "127.0.0.1");
`;

const NODE: Trial = {
  needs: ["node", "openssl"],
  own: V8S_OWN,
  async command(room, port) {
    await makeCertificate(room);
    return ["node", write(room, "serve.mjs", NODE_SERVER), `${port}`, `${port + 1}`];
  },
  async client(port) {
    // A WebSocket does not tell that nobody is there yet.
    (await Deno.connect({ hostname: "127.0.0.1", port: port + 1 })).close();
    const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    await new Promise((resolve) => socket.onopen = resolve);
    let count = 0;
    return {
      async step() {
        const text = `message ${count++}`;
        const answer = new Promise<string>((resolve, reject) => {
          socket.onmessage = ({ data }) => resolve(data);
          socket.onclose = () => reject(new Error("the WebSocket was closed"));
        });
        socket.send(text);
        assert.equal(await answer, text);
        assert.equal(await fetchText(port + 1, agent), "hello");
      },
      [Symbol.dispose]() {
        socket.onclose = null;
        socket.close();
        agent.destroy();
      },
    };
  },
};

/** It has a UDP socket, too, for HTTP/3, and writes to a file for each request. */
const CADDY: Trial = {
  needs: ["caddy", "openssl"],
  own: GOS_OWN,
  async command(room, port) {
    await makeCertificate(room);
    const config = {
      admin: { disabled: true, config: { persist: false } },
      storage: { module: "file_system", root: `${room}/data` },
      logging: {
        logs: {
          requests: {
            writer: { output: "file", filename: `${room}/requests` },
            include: ["http.log.access.requests"],
          },
        },
      },
      apps: {
        http: {
          servers: {
            it: {
              listen: [`127.0.0.1:${port}`],
              automatic_https: { disable: true },
              logs: { default_logger_name: "requests" },
              tls_connection_policies: [{ default_sni: "localhost" }],
              routes: [{
                handle: [{ handler: "static_response", body: "hello {http.request.uri.query}" }],
              }],
            },
          },
        },
        tls: {
          certificates: { load_files: [{ certificate: `${room}/cert`, key: `${room}/key` }] },
        },
      },
    };
    return ["caddy", "run", "--config", write(room, "caddy.json", JSON.stringify(config))];
  },
  async client(port, room) {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    let count = 0;
    return {
      async step() {
        assert.equal(await fetchText(port, agent, `/?${++count}`), `hello ${count}`);
      },
      // Each is there once, in its order.
      end() {
        const lines = Deno.readTextFileSync(`${room}/requests`).trim().split("\n");
        const asked = lines.map((line) => JSON.parse(line).request?.uri);
        assert.deepEqual(asked, Array.from({ length: count }, (_, index) => `/?${index + 1}`));
        return Promise.resolve();
      },
      [Symbol.dispose]: () => agent.destroy(),
    };
  },
};

const DENO: Trial = {
  needs: ["deno"],
  own: V8S_OWN,
  command: (room, port) => {
    const text =
      `for await (const connection of Deno.listen({ hostname: "127.0.0.1", port: ${port} })) {
      connection.readable.pipeTo(connection.writable).catch(() => {});
    }`;
    return ["deno", "run", "--no-config", "-A", write(room, "serve.ts", text)];
  },
  client: echo,
};

const GO: Trial = {
  needs: ["go"],
  own: GOS_OWN,
  async command(room, port) {
    write(
      room,
      "serve.go",
      `package main
import ("io"; "net")
func main() {
	listener, _ := net.Listen("tcp", "127.0.0.1:${port}")
	for {
		connection, _ := listener.Accept()
		go io.Copy(connection, connection)
	}
}
`,
    );
    await run(room, "go", "build", "-o", "serve", "serve.go");
    return [`${room}/serve`];
  },
  client: echo,
};

const JAVA: Trial = {
  needs: ["java", "javac"],
  async command(room, port) {
    write(
      room,
      "Serve.java",
      `public class Serve {
  public static void main(String[] none) throws Exception {
    var listener = new java.net.ServerSocket(${port}, 50, java.net.InetAddress.getByName("127.0.0.1"));
    for (;;) {
      var socket = listener.accept();
      new Thread(() -> {
        try { socket.getInputStream().transferTo(socket.getOutputStream()); } catch (Exception e) { }
      }).start();
    }
  }
}
`,
    );
    await run(room, "javac", "Serve.java");
    return ["java", "-Xshare:off", "-XX:+PerfDisableSharedMem", "-cp", room, "Serve"];
  },
  client: echo,
};

const SOCAT: Trial = {
  needs: ["socat"],
  command: (_, port) => [
    "socat",
    `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr`,
    "EXEC:cat",
  ],
  client: echo,
};

const SOCAT_PTY: Trial = {
  ...SOCAT,
  command: (_, port) => [
    "socat",
    `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr`,
    "EXEC:cat,pty,raw,echo=0",
  ],
};

/** One that hands on to another by a unix socket. */
const SOCAT_RELAY: Trial = {
  needs: ["socat", "bash", "setpriv"],
  command: (room, port) => [
    "bash",
    "-c",
    `setpriv --pdeathsig KILL socat UNIX-LISTEN:${room}/relay,fork EXEC:cat &
    exec socat TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:${room}/relay,retry=100,interval=0.1`,
  ],
  client: echo,
};

/** A question for the address of a.test, by its number. */
function question(id: number): Uint8Array<ArrayBuffer> {
  const name = [1, 97, 4, ...new TextEncoder().encode("test"), 0];
  return Uint8Array.from([
    id >> 8 & 255,
    id & 255,
    1,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    ...name,
    0,
    1,
    0,
    1,
  ]);
}

const DNS: Trial = {
  needs: ["dnsmasq"],
  command: (_, port) => [
    "dnsmasq",
    "--keep-in-foreground",
    ...["--conf-file=/dev/null", "--user=root", "--pid-file", "--no-resolv", "--no-hosts"],
    ...[`--port=${port}`, "--listen-address=127.0.0.1", "--bind-interfaces"],
    "--address=/a.test/10.1.2.3",
  ],
  client(port) {
    const socket = createSocket("udp4");
    let id = 0;
    return Promise.resolve({
      // What comes while nobody is there is lost, as UDP has it: the client asks again.
      async step() {
        for (let attempt = 0; attempt < 300; attempt++) {
          const answer = new Promise<Uint8Array | undefined>((resolve) => {
            const late = setTimeout(() => resolve(undefined), 200);
            socket.once("message", (bytes) => {
              clearTimeout(late);
              resolve(bytes);
            });
          });
          socket.send(question(++id & 0xffff), port, "127.0.0.1");
          const got = await answer;
          if (got === undefined) continue;
          assert.deepEqual([...got.subarray(-4)], [10, 1, 2, 3]);
          return;
        }
        throw new Error("no answer");
      },
      [Symbol.dispose]: () => void socket.close(),
    });
  },
};

const SSH_AGENT: Trial = {
  needs: ["ssh-agent", "ssh-keygen", "ssh-add"],
  async command(room) {
    await run(room, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mine", "-f", "key");
    return ["ssh-agent", "-D", "-a", `${room}/agent`];
  },
  async client(_, room) {
    const env = { SSH_AUTH_SOCK: `${room}/agent` };
    const ask = async (...args: string[]) => {
      const { stdout, stderr } = await new Deno.Command("ssh-add", { args, env }).output();
      return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    };
    while (!/added/.test(await ask(`${room}/key`))) {
      await new Promise((wake) => setTimeout(wake, 20));
    }
    return {
      // It keeps the key. While nobody is there the client is told so.
      async step() {
        for (let attempt = 0;; attempt++) {
          const said = await ask("-l");
          if (/mine/.test(said)) return;
          assert.ok(attempt < 1000 && /connect|communicat/i.test(said), said);
          await new Promise((wake) => setTimeout(wake, 50));
        }
      },
      [Symbol.dispose]() {},
    };
  },
};

/** All, by name. */
export const TRIALS: Readonly<Record<string, Trial>> = {
  "redis with pipelined writes": REDIS,
  "Node.js with WebSocket and TLS": NODE,
  "Deno": DENO,
  "Caddy with TLS": CADDY,
  "a Go program": GO,
  "a Java program": JAVA,
  "socat with a child": SOCAT,
  "socat with a terminal": SOCAT_PTY,
  "socat with another socat": SOCAT_RELAY,
  "PostgreSQL in transactions": POSTGRESQL,
  "dnsmasq on UDP": DNS,
  "ssh-agent": SSH_AGENT,
};
