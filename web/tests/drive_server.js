// Uses the page that `tfderain serve --ui` serves, and reports what it saw.
//
//   node tests/drive_server.js settings.json
//
// The settings name `url`, `folder` (for downloads, pictures of the page and
// report.json), `chromium`, and pictures: a `small`, a `large`, a `clear` one, which is
// large, too, and partly transparent, and a small one to be sent by choice, `chosen`. tests/test_web.py decides what is right.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { complaintsOf, derain as derainAt, drop, open } from "./page.js";

const settings = JSON.parse(readFileSync(process.argv[2]));
const { browser, context, page } = await open(
  settings,
  `--log-net-log=${join(settings.folder, "net.json")}`,
);
const report = { requests: [], errors: complaintsOf(page) };
context.on("request", (request) =>
  report.requests.push(`${request.method()} ${request.url()}`),
);

await page.goto(settings.url);
await page.locator("#where").waitFor();
await page.locator("body[data-ready]").waitFor();
report.isolated = await page.evaluate(() => crossOriginIsolated);
report.choices = await page.locator("#backend option").allTextContents();
report.chosen = await page.locator("#backend option:checked").textContent();
report.note = await page.locator("#welcome .note").textContent();

const derain = async (path) => {
  const before = report.requests.length;
  const result = await derainAt(page, path, settings.folder);
  const sent = report.requests.slice(before).filter((asked) => asked.startsWith("POST"));
  return { ...result, sent };
};
report.small = await derain(settings.small);
report.large = await derain(settings.large);
report.clear = await derain(settings.clear);
await page.getByLabel("Runs").selectOption({ index: 1 });
report.noteOfBrowser = await page.locator("#welcome .note").textContent();
await page.getByLabel("Runs").selectOption({ index: 2 });
report.sent = await derain(settings.chosen);

await page.screenshot({ path: join(settings.folder, "welcome.png") });
await page.getByLabel("Runs").selectOption({ index: 0 });
await drop(page, settings.large);
await page.locator("#done").waitFor();
await page.screenshot({ path: join(settings.folder, "done.png") });
await page.setViewportSize({ width: 390, height: 780 });
await page.screenshot({ path: join(settings.folder, "phone.png") });
report.phoneWidth = await page.evaluate(() => document.documentElement.scrollWidth);
await browser.close();

writeFileSync(join(settings.folder, "report.json"), JSON.stringify(report));
