// An HTTP server that counts requests, and sends their bodies back. Usage: count.mjs PORT
import { createServer } from "node:http";

let count = 0;
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (data) => body += data);
  request.on("end", () => response.end(`${++count} ${body}`));
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
