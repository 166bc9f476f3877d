// Uses the built page in headless Chromium as a person would, and reports what it saw.
//
//   node tests/drive.js settings.json
//
// The settings name `url`, an `elsewhere` on another host, `folder` (for downloads and
// report.json), paths of `pictures`, a `small` and a `large` one, and `broken`, `empty`
// and `huge` files, and `chromium`. What is right is decided in tests/test_web.py.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { complaintsOf, derain as derainAt, drop as dropAt, open } from "./page.js";

const settings = JSON.parse(readFileSync(process.argv[2]));
const report = { pictures: {}, requests: [] };

// A graphics card in software: slow, but the same shaders.
const SOFTWARE_GPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
  "--use-vulkan=swiftshader",
  "--use-angle=swiftshader",
];

let { browser, context, page } = await open(
  settings,
  `--log-net-log=${join(settings.folder, "net.json")}`,
);
const complaints = complaintsOf(page);
const derain = (path) => derainAt(page, path, settings.folder);
const drop = (path, type) => dropAt(page, path, type);
context.on("request", (request) => report.requests.push(request.url()));

await load();
await paste();
await errors();
await cancel();
await slider();
await server();
report.errors = [...complaints]; // what follows must fail
await policy();
await offline();
await browser.close();

({ browser, context, page } = await open(settings, ...SOFTWARE_GPU));
report.adapter = await hasAdapter();
if (report.adapter) report.gpu = await graphics();
await browser.close();

writeFileSync(join(settings.folder, "report.json"), JSON.stringify(report));

async function load() {
  const started = Date.now();
  await page.goto(settings.url);
  report.shown = (Date.now() - started) / 1000;
  await page.locator("body[data-ready]").waitFor();
  report.ready = (Date.now() - started) / 1000;
  report.isolated = await page.evaluate(() => crossOriginIsolated);
  await page.getByLabel("Runs").selectOption("In this browser"); // large ones, too
  for (const path of settings.pictures) report.pictures[path] = await derain(path);
}

// Two files at once, one of them pasted, wait for each other in the queue.
async function paste() {
  const [first, second] = settings.pictures;
  await drop(first);
  await drop(second, "paste");
  await page.waitForFunction(
    () => document.querySelectorAll("[data-state=done]").length === 2,
  );
  const thumb = page.locator("#items .thumb").nth(1);
  await thumb.focus();
  await page.keyboard.press("Enter");
  report.shownByKey = await page.locator("#name").textContent();
  report.focusKept = await thumb.evaluate((entry) => entry === document.activeElement);
  report.queue = await page.locator("#items .thumb span").allTextContents();
  await page.getByRole("button", { name: "Clear" }).click();
  report.cleared = await page.locator("#welcome").isVisible();
}

async function errors() {
  report.broken = await derain(settings.broken);
  report.empty = await derain(settings.empty);
  report.huge = await derain(settings.huge);
}

async function cancel() {
  await drop(settings.large);
  await page.waitForFunction(() => document.querySelector("progress").value > 0);
  report.responsive = await longestPause();
  await page.getByRole("button", { name: "Cancel" }).click();
  report.cancelled = await page.locator("#problem").textContent();
  await page.getByRole("button", { name: "Try again" }).click();
  report.retried = await page.locator("#working").isVisible();
  await page.getByRole("button", { name: "Clear" }).click();
  report.afterCancel = await derain(settings.pictures[0]);
}

// Longest time in which the page, while the network runs, could not have answered.
function longestPause() {
  return page.evaluate(async () => {
    let longest = 0;
    for (let i = 0, last = performance.now(); i < 60; i++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      const now = performance.now();
      longest = Math.max(longest, now - last - 5);
      last = now;
    }
    return longest;
  });
}

async function slider() {
  await drop(settings.pictures[0]);
  await page.locator("#done").waitFor();
  const line = page.getByRole("slider", { name: "Dividing line" });
  await line.focus();
  const clip = () =>
    page.locator("#derained").evaluate((image) => getComputedStyle(image).clipPath);
  report.slider = { before: await clip() };
  for (let i = 0; i < 10; i++) await page.keyboard.press("ArrowRight");
  report.slider.after = await clip();
  report.slider.text = await line.getAttribute("aria-valuetext");
  await page.getByRole("button", { name: "Clear" }).click();
}

// The policy must hold in the page and in the worker that sees the photos.
async function policy() {
  const reach = (url) =>
    // Without CORS, which would refuse for another reason.
    fetch(url, { mode: "no-cors" }).then(
      () => "reached",
      () => "refused",
    );
  report.policy = [await page.evaluate(reach, settings.elsewhere)];
  for (const worker of page.workers()) {
    report.policy.push(await worker.evaluate(reach, settings.elsewhere));
  }
}

async function server() {
  await page.getByLabel("Runs").selectOption("On the server");
  report.server = await derain(settings.pictures[0]);
  await page.getByLabel("Runs").selectOption("In this browser");
}

async function offline() {
  await page.evaluate(() => navigator.serviceWorker.ready);
  await context.setOffline(true);
  await page.reload();
  report.offline = await derain(settings.pictures[0]);
  report.isolatedLater = await page.evaluate(() => crossOriginIsolated);
}

async function hasAdapter() {
  await page.goto(settings.url);
  return page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter()));
}

// Left to itself, the page finds that software is no faster; then it is made to use it.
async function graphics() {
  const chosen = await derain(settings.small);
  await page.goto(`${settings.url}?processor=gpu`);
  await page.locator("body[data-ready]").waitFor();
  return { chosen, made: await derain(settings.small) };
}
