// What operators do, with the mouse: with and without JavaScript, below any path, and behind a proxy.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ANNEX, CONFLICTING, MEETING, UNKNOWN_ROOM, browse, open, readAgainUntil, startProxy, startServer,
} from "./support.js";

test("an operator repairs the inbox", () => operate("/ops", {}));
test("the same with JavaScript off", () => operate("/ops", { javaScriptEnabled: false }));
test("the same below a longer path", () => operate("/internal/jaas/v1/ops", {}));
test("the same behind a proxy that takes a part of the path away", () => operate("/ops", {}, "/behind/a-proxy"));

async function operate(path, options, proxied) {
  const server = await startServer(path);
  const proxy = proxied && await startProxy(server.address, path, proxied);
  const { base } = proxy ?? server;
  try {
    await browse(base, options, async (page) => {
      await page.goto(`${base}/`);
      assert.equal(page.url(), `${base}/overview`);
      await replayTheGroup(page);
      await replayASelection(page);
      await readTheConflict(page);
      await drawTheMeeting(page);
      await eraseTheSession(page);
      await parseTheQuarantine(page);
      await readTheAudit(page);
      assert.ok(page.url().startsWith(`${base}/`));
    });
  } finally {
    await proxy?.stop();
    await server.stop();
  }
}

async function replayTheGroup(page) {
  await open(page, "Dead letters");
  const row = page.getByRole("row").filter({ hasText: UNKNOWN_ROOM });
  const dead = Number(await row.getByRole("link").innerText());
  assert.ok(dead > 5, `${dead} dead letters`);
  await row.getByRole("link").click();

  await page.getByRole("button", { name: "Rehearse the group" }).click();
  await page.getByRole("heading", { level: 1, name: "Rehearsal" }).waitFor();
  const rehearsed = page.getByRole("row").filter({ hasText: "rooms" }).filter({ hasText: "would succeed" });
  assert.ok(await rehearsed.count() > 5);
  await page.getByRole("link", { name: "Back" }).click();
  assert.equal(Number(await page.locator("dt:text('Count') + dd").innerText()), dead, "a rehearsal changes nothing");

  await page.getByRole("button", { name: "Replay the group…" }).click();
  await page.getByRole("heading", { name: `Replay ${dead} dead letters?` }).waitFor();
  await page.getByLabel("Reason").fill("the annex is in the table now");
  await page.getByRole("button", { name: `Replay ${dead} dead letters` }).click();
  await page.getByRole("status").filter({ hasText: `${dead} replayed` }).waitFor();

  await open(page, "Inbox");
  await page.getByLabel("State").selectOption("done");
  await page.getByLabel("Room").fill(ANNEX);
  await page.getByRole("button", { name: "Filter" }).click();
  assert.equal(await page.getByLabel("Room").inputValue(), ANNEX, "the filter is kept");
  const done = page.getByRole("row").filter({ has: page.getByRole("cell", { name: "done", exact: true }) });
  await readAgainUntil(page, "all are done", async () => await done.count() === dead);
}

async function replayASelection(page) {
  await open(page, "Dead letters");
  const row = page.getByRole("row").filter({ hasText: "the bucket" });
  const dead = Number(await row.getByRole("link").innerText());
  await row.getByRole("link").click();
  await page.getByRole("checkbox", { name: /^Select event/ }).first().check();
  await page.getByRole("button", { name: "Rehearse the selection" }).click();
  await page.getByRole("cell", { name: 'would fail: the bucket "recordings" refused the copy' }).waitFor();
  await page.getByRole("link", { name: "Back" }).click();

  await page.getByRole("checkbox", { name: /^Select event/ }).first().check();
  await page.getByRole("button", { name: "Discard the selection…" }).click();
  await page.getByLabel("Reason").fill("the recording was copied by hand");
  await page.getByRole("button", { name: "Discard 1 event" }).click();
  await open(page, "Dead letters");
  assert.equal(Number(await row.getByRole("link").innerText()), dead - 1);
}

async function readTheConflict(page) {
  await open(page, "Conflicts");
  await page.getByRole("link", { name: CONFLICTING }).click();
  await page.getByRole("row").filter({ hasText: "PARTICIPANT_JOINED" }).getByRole("link").first().click();
  await page.getByRole("heading", { name: "Other bodies with its key" }).waitFor();
  assert.ok(!(await page.content()).includes("Ada King"), "values are hidden");
  await page.getByLabel("Reason").fill("which of the two is right?");
  await page.getByRole("button", { name: "Reveal", exact: true }).click();
  const difference = page.getByRole("row").filter({ hasText: "Ada King" });
  assert.match(await difference.innerText(), /name.*Ada Lovelace/s);
}

async function drawTheMeeting(page) {
  await open(page, "Meetings");
  await page.getByRole("link", { name: MEETING }).click();
  const timeline = page.getByRole("img", { name: "Timeline" });
  const { width, height } = await timeline.boundingBox();
  assert.ok(width > 300 && height > 50, `${width} × ${height}`);
  assert.ok(await timeline.locator("svg rect").count() >= 4, "a bar for each stay");
  assert.ok(!(await page.content()).includes("Grace Hopper"), "names are hidden");
  await page.getByLabel("Reason").fill("who was there?");
  await page.getByRole("button", { name: "Reveal the names" }).click();
  await page.getByRole("rowheader", { name: "Grace Hopper" }).waitFor();
}

async function eraseTheSession(page) {
  await open(page, "Sessions");
  await page.getByLabel("Session", { exact: true }).fill(MEETING);
  await page.getByRole("button", { name: "Show" }).click();
  const count = await page.getByRole("row").count() - 1;
  await page.getByRole("link", { name: "Erase this session…" }).click();
  await page.getByLabel("Reason").fill("a participant asked for it");
  await page.getByRole("button", { name: `Erase ${count} events` }).click();
  await page.getByRole("status").filter({ hasText: `Erased events: ${count}` }).waitFor();
  await page.getByRole("row").nth(1).getByRole("link").first().click();
  await page.locator("dt:text('Body') + dd", { hasText: "erased" }).waitFor();
}

async function parseTheQuarantine(page) {
  await open(page, "Quarantine");
  assert.equal(await page.getByRole("row").count(), 4);
  await page.getByLabel("Reason").fill("after the update");
  await page.getByRole("button", { name: "Parse the quarantine again" }).click();
  await page.getByText("These were all.").waitFor();
}

async function readTheAudit(page) {
  await open(page, "Audit");
  const reasons = ["asked for it", "who was there?", "which of the two", "copied by hand", "the annex"];
  for (const reason of reasons) {
    await page.getByRole("row").filter({ hasText: reason }).filter({ hasText: "ada" }).first().waitFor();
  }
}
