// Each page: its accessibility, its look in light and dark and on a narrow screen, and what strangers wrote in it.
import assert from "node:assert/strict";
import { mkdir, readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { CONFLICTING, MEETING, MISSING, UNKNOWN_ROOM, browse, open, startServer } from "./support.js";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const { CONSOLE_PICTURES: PICTURES, CONSOLE_BLESSED: BLESSED } = process.env;
/** The largest picture of the book, in bytes. */
const MAX_PICTURE = 60 * 1024;

const LOOKS = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  narrow: { colorScheme: "light", viewport: { width: 400, height: 800 } },
};

for (const [look, options] of Object.entries(LOOKS)) {
  test(`each page is accessible, and fits: ${look}`, async () => {
    const server = await startServer();
    await mkdir(PICTURES, { recursive: true });
    const broken = [];
    let seen = 0;
    try {
      await browse(server.base, options, async (page) => {
        for (const [name, go] of visits(server.base)) {
          await go(page);
          assert.ok(await page.getByRole("heading", { level: 1 }).isVisible(), name);
          broken.push(...await complaints(page, name));
          await page.screenshot({ path: join(PICTURES, `${name}-${look}.png`), fullPage: true });
          seen += 1;
        }
      });
    } finally {
      await server.stop();
    }
    assert.deepEqual(broken, []);
    assert.ok(seen >= 20, `${seen} pages`);
  });
}

test("what strangers wrote is text", async () => {
  const server = await startServer();
  try {
    await browse(server.base, {}, async (page) => {
      let found = 0;
      for (const [name, go] of visits(server.base)) {
        await go(page);
        assert.match(await page.title(), /JaaS inbox$/, name);
        assert.equal(await page.locator("script").count(), 1, name);
        assert.equal(await page.locator("img").count(), 0, name);
        found += (await page.locator("body").innerText()).includes("<script>document.title") ? 1 : 0;
      }
      assert.ok(found >= 7, `${found} pages show it`);
    });
  } finally {
    await server.stop();
  }
});

test("the pictures of the book", { skip: !BLESSED && "without --bless" }, async () => {
  const server = await startServer();
  await mkdir(BLESSED, { recursive: true });
  try {
    await browse(server.base, { viewport: { width: 800, height: 440 } }, async (page) => {
      const shown = ["overview", "dead-group", "meeting-revealed"];
      for (const [name, go] of visits(server.base)) {
        if (!shown.includes(name)) continue;
        await go(page);
        if (name.startsWith("meeting")) await page.locator(".timeline").evaluate((it) => it.scrollIntoView());
        const path = join(BLESSED, `${name}.png`);
        await page.screenshot({ path });
        const { size } = await stat(path);
        assert.ok(size <= MAX_PICTURE, `${path} has ${size} bytes`);
      }
    });
  } finally {
    await server.stop();
  }
});

/** Each page, and how to come there. What changes something comes last. */
function visits(base) {
  const to = (path) => (page) => page.goto(`${base}/${path}`);
  const group = (text) => async (page) => {
    await open(page, "Dead letters");
    await page.getByRole("row").filter({ hasText: text }).getByRole("link").click();
  };
  const press = (button) => (page) => page.getByRole("button", { name: button }).click();
  const first = async (page) => page.getByRole("row").nth(1).getByRole("link").first().click();
  const because = (page) => page.getByLabel("Reason").fill("to see the page");
  const steps = (...parts) => async (page) => {
    for (const part of parts) await part(page);
  };
  const hostile = [to("inbox?state=dead"), async (page) => {
    await page.getByRole("row").filter({ hasText: "<script>" }).getByRole("link").first().click();
  }];
  const erase = (page) => page.getByRole("link", { name: "Erase this session…" }).click();
  const conflict = [to("conflicts"), (page) => page.getByRole("link", { name: CONFLICTING }).click(), first];
  return [
    ["overview", to("overview")],
    ["inbox", to("inbox")],
    ["inbox-filtered", to("inbox?state=waiting&type=PARTICIPANT_JOINED")],
    ["inbox-empty", to("inbox?key=none")],
    ["event-waiting", steps(to("inbox?state=waiting"), first)],
    ["event-dead", steps(...hostile)],
    ["dead", to("dead")],
    ["dead-group", group(UNKNOWN_ROOM)],
    ["confirm-replay", steps(group(UNKNOWN_ROOM), press("Replay the group…"))],
    ["rehearsed", steps(group("the bucket"), press("Rehearse the group"))],
    ["confirm-discard", steps(group("the bucket"), press("Discard the group…"))],
    ["quarantine", to("quarantine")],
    ["conflicts", to("conflicts")],
    ["conflict", steps(...conflict)],
    ["conflict-revealed", steps(...conflict, because, press("Reveal"))],
    ["event-revealed", steps(...hostile, because, press("Reveal"))],
    ["sessions", to("session")],
    ["session", to(`session?id=${MEETING}`)],
    ["confirm-erase", steps(to(`session?id=${MEETING}`), erase)],
    ["meetings", to("meetings")],
    ["meeting", to(`meeting?id=${MEETING}`)],
    ["meeting-revealed", steps(to(`meeting?id=${MEETING}`), because, press("Reveal the names"))],
    ["gaps", to("gaps?state=open")],
    ["gaps-empty", to("gaps?room=none")],
    ["settings", to("settings")],
    ["artifacts", to("artifacts")],
    ["audit", to("audit")],
    ["failed", to(MISSING)],
    ["replayed", steps(group("<script>"), press("Replay the group…"), because, press(/^Replay \d/))],
    ["quarantine-replayed", steps(to("quarantine"), because, press("Parse the quarantine again"))],
  ];
}

/** What is wrong with a page, besides its messages. */
async function complaints(page, name) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await axe.run(document);
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    const where = ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.target).join(" ")}`;
    const { scrollWidth, clientWidth } = document.scrollingElement;
    const wide = scrollWidth > clientWidth ? [`${scrollWidth} px wide, in a window of ${clientWidth}`] : [];
    return [...serious.map(where), ...wide];
  });
  return found.map((what) => `${name}: ${what}`);
}
