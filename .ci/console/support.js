// A server with the console, a browser, and a watch on what the browser complains about.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

export const SOON = 20_000; // ms, for everything that should happen
export const UNKNOWN_ROOM = "no such room in the table";
export const MEETING = "7f4c1a52-6a63-4c1e-9d2b-8f7f5e0c9a10";
export const ANNEX = "vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c/annex";
export const CONFLICTING = "8d1f3c5a-conflict";

/** A page that is not there: the browser says so, as it should. */
export const MISSING = "event?id=987654321";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** Starts a server whose console is below this path; `stop` ends it. */
export async function startServer(path = "/ops") {
  const child = spawn(process.env.CONSOLE_SERVER, [path], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const log = [];
  child.stderr.on("data", (chunk) => log.push(chunk));
  const address = await new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => line.startsWith("listening address=") && resolve(line.split("=")[1]));
    child.once("error", reject);
    lines.once("close", () => reject(new Error(`the server ended:\n${Buffer.concat(log)}`)));
  });
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  return { address, base: `http://${address}${path}`, stop };
}

/** Starts a proxy that serves what is below `from` at the target as if it were below `to`. */
export async function startProxy(address, from, to) {
  const [host, port] = address.split(":");
  const server = http.createServer((request, response) => {
    if (request.url === "/favicon.ico") return response.writeHead(204).end();
    if (!request.url.startsWith(`${to}/`)) return response.writeHead(404).end();
    const path = from + request.url.slice(to.length);
    const { method, headers } = request;
    const onward = http.request({ host, port, path, method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.writeHead(502).end());
    request.pipe(onward);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return { base: `http://127.0.0.1:${server.address().port}${to}`, stop };
}

/**
 * Runs the work with a page of a browser that has no history. Afterwards the browser must have nothing to complain
 * about: no message, no error, no violation of the policy, no request to another origin, no page over 50 KB.
 */
export async function browse(base, options, work) {
  const folder = await mkdtemp(join(tmpdir(), "check-console-"));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: process.env.CONSOLE_BROWSER,
    headless: true,
    args: FLAGS,
    viewport: { width: 1200, height: 800 },
    serviceWorkers: "block",
    ...options,
  });
  const complaints = [];
  try {
    context.setDefaultTimeout(SOON);
    watch(context, new URL(base).origin, complaints);
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => {
        console.error(`policy: ${event.violatedDirective} forbids ${event.blockedURI} ${event.sample}`);
      });
    });
    const page = context.pages()[0] ?? await context.newPage();
    await work(page);
  } finally {
    await context.close();
    await rm(folder, { recursive: true, force: true });
  }
  assert.deepEqual(complaints, []);
}

function watch(context, origin, complaints) {
  context.on("console", (message) => {
    const { url } = message.location();
    if (!url.endsWith(MISSING)) complaints.push(`${message.type()}: ${message.text()} (${url})`);
  });
  context.on("weberror", (error) => complaints.push(`error: ${error.error()}`));
  context.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    return dialog.dismiss();
  });
  context.on("request", (request) => {
    if (new URL(request.url()).origin !== origin) complaints.push(`request to ${request.url()}`);
  });
  context.on("response", async (response) => {
    if (response.status() >= 500) complaints.push(`${response.status()} of ${response.url()}`);
    if (response.request().resourceType() !== "document" || response.status() >= 300) return;
    const size = Number(response.headers()["content-length"]);
    if (!(size <= 50_000)) complaints.push(`${response.url()} has ${size} bytes`);
  });
}

/** Reads the page again until the condition holds. */
export async function readAgainUntil(page, what, holds) {
  const until = Date.now() + SOON;
  while (!await holds()) {
    assert.ok(Date.now() < until, `${what}, in time`);
    await page.getByRole("link", { name: "Read again" }).click();
  }
}

/** Opens an entry of the navigation. */
export async function open(page, name) {
  await page.getByRole("navigation", { name: "Pages", exact: true }).getByRole("link", { name }).click();
  await page.locator("[aria-current=page]", { hasText: name }).waitFor();
}
