// BullMQ's caller: `node bullmq_load.cjs` adds the jobs, fifty at a time, and tells how long that took.
// They come from standard input, one JSON array, so that every line is given the same messages.
"use strict";
const { Queue } = require("bullmq");

async function main() {
  const messages = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
  const connection = { host: "127.0.0.1", port: Number(process.env.BENCH_REDIS_PORT) };
  const queue = new Queue("mail", { connection });
  await queue.waitUntilReady();
  const latencies = [];
  let next = 0;
  const caller = async () => {
    while (next < messages.length) {
      const message = messages[next++];
      const since = performance.now();
      await queue.add("send", message);
      latencies.push((performance.now() - since) / 1000);
    }
  };
  const begun = Date.now() / 1000, since = performance.now(), cpu = process.cpuUsage();
  await Promise.all(Array.from({ length: 50 }, caller));
  const seconds = (performance.now() - since) / 1000, used = process.cpuUsage(cpu);
  console.log(JSON.stringify({ begun, seconds, cpu: (used.user + used.system) / 1e6, latencies }));
  await queue.close();
}

main();
