// Without a mouse: everything is reached with Tab, and what has the focus is seen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ANNEX, MEETING, UNKNOWN_ROOM, browse, readAgainUntil, startServer } from "./support.js";

test("an operator works with the keyboard alone", async () => {
  const server = await startServer();
  try {
    await browse(server.base, {}, async (page) => {
      await page.goto(`${server.base}/overview`);
      await page.keyboard.press("Tab");
      assert.equal((await focused(page)).text, "Skip to content", "the first stop");
      await page.keyboard.press("Enter");
      await tabTo(page, "Read again", 1);

      await page.goto(`${server.base}/overview`);
      await follow(page, "Dead letters");
      const row = page.getByRole("row").filter({ hasText: UNKNOWN_ROOM });
      const dead = await row.getByRole("link").innerText();
      await follow(page, dead);
      await press(page, "Replay the group…");
      await tabTo(page, "Reason, for the audit");
      await page.keyboard.type("the annex is in the table now");
      await page.keyboard.press("Enter");
      await page.getByRole("status").filter({ hasText: `${dead} replayed` }).waitFor();

      // A selection: Space marks a row.
      await follow(page, "Dead letters");
      await follow(page, await page.getByRole("row").filter({ hasText: "the bucket" }).getByRole("link").innerText());
      await tabTo(page, /^Select event/);
      await page.keyboard.press("Space");
      await press(page, "Rehearse the selection");
      await page.getByRole("heading", { level: 1, name: "Rehearsal" }).waitFor();
      await follow(page, "Back");

      // A search, with a choice.
      await follow(page, "Inbox");
      await tabTo(page, "State");
      await page.keyboard.type("done");
      await tabTo(page, /^Room/);
      await page.keyboard.type(ANNEX);
      await page.keyboard.press("Enter");
      await page.waitForURL(/state=done/);
      const done = page.getByRole("row").filter({ has: page.getByRole("cell", { name: "done", exact: true }) });
      await readAgainUntil(page, "all are done", async () => await done.count() === Number(dead));

      await follow(page, "Meetings");
      await follow(page, MEETING);
      await tabTo(page, "Reason, for the audit");
      await page.keyboard.type("who was there?");
      await press(page, "Reveal the names");
      await page.getByRole("rowheader", { name: "Grace Hopper" }).waitFor();

      await follow(page, "Sessions");
      await tabTo(page, "Session");
      await page.keyboard.type(MEETING);
      await page.keyboard.press("Enter");
      await page.waitForURL(/session\?id=/);
      await follow(page, "Erase this session…");
      await tabTo(page, "Reason, for the audit");
      await page.keyboard.type("a participant asked for it");
      await press(page, /^Erase \d+ events$/);
      await page.getByRole("status").filter({ hasText: "Erased events" }).waitFor();
    });
  } finally {
    await server.stop();
  }
});

/** Tabs to a link and follows it. */
async function follow(page, name) {
  await tabTo(page, name);
  await Promise.all([page.waitForEvent("domcontentloaded"), page.keyboard.press("Enter")]);
}

/** Tabs to a button and presses it. */
async function press(page, name) {
  await follow(page, name);
}

/** Presses Tab until something with this name has the focus, which must be visible. */
async function tabTo(page, name, within = 200) {
  const passed = [];
  for (let stop = 0; stop < within; stop += 1) {
    await page.keyboard.press("Tab");
    const { text, isSeen } = await focused(page);
    assert.ok(isSeen, `the focus on ${text} is not seen`);
    if (typeof name === "string" ? text === name : name.test(text)) return;
    passed.push(text);
  }
  assert.fail(`Tab does not come to ${name}, but to ${passed.join(", ")}`);
}

/** The name of what has the focus, and whether a ring is drawn around it within the window. */
function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    const label = element.labels?.[0]?.textContent ?? element.getAttribute("aria-label") ?? element.textContent;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const isRinged = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    const isInside = box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight;
    return { text: label.trim(), isSeen: (isRinged && isInside) || element === document.body };
  });
}
