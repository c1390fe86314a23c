// BullMQ's side: fifty jobs at a time, each a message through a pool of fifty connections of nodemailer.
"use strict";
const { Worker } = require("bullmq");
const nodemailer = require("nodemailer");

const transport = nodemailer.createTransport({
  host: "127.0.0.1", port: Number(process.env.BENCH_SMTP_PORT), secure: false, ignoreTLS: true,
  pool: true, maxConnections: 50, maxMessages: Infinity,
});
const connection = { host: "127.0.0.1", port: Number(process.env.BENCH_REDIS_PORT), maxRetriesPerRequest: null };
const worker = new Worker("mail", (job) => transport.sendMail(job.data), {
  connection, concurrency: 50, removeOnComplete: { count: 0 },
});
worker.on("failed", (job, error) => console.error(job && job.id, error));
worker.on("error", (error) => console.error(error));
process.on("SIGTERM", () => process.exit(0));
