// A page in headless Chromium, and what a person does there.

import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--no-sandbox", // containers have no user namespaces
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** Opens an empty page; `settings` name the program, `chromium`. */
export async function open(settings, ...more) {
  const browser = await chromium.launch({
    executablePath: settings.chromium,
    args: [...ARGUMENTS, ...more],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(300_000);
  return { browser, context, page };
}

/** What the page says of its own errors, as a list that grows. */
export function complaintsOf(page) {
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error") {
      complaints.push(`${message.text()} (${message.location().url})`);
    }
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  return complaints;
}

/** Drops a file on the page; waits for the error, or downloads the result. */
export async function derain(page, path, folder) {
  await drop(page, path);
  await page.locator("#done, #problem").and(page.locator(":visible")).waitFor();
  if (await page.locator("#problem").isVisible()) {
    const problem = await page.locator("#problem").textContent();
    await page.getByRole("button", { name: "Clear" }).click();
    return { problem };
  }
  const status = await page.locator("#status").textContent();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download PNG" }).click(),
  ]);
  const file = join(folder, download.suggestedFilename());
  await download.saveAs(file);
  await page.getByRole("button", { name: "Clear" }).click();
  return { file, status };
}

export async function drop(page, path, type = "drop") {
  const data = readFileSync(path).toString("base64");
  await page.evaluate(
    ([data, name, type]) => {
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name));
      const event =
        type === "drop"
          ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true })
          : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
      document.body.dispatchEvent(event);
    },
    [data, basename(path), type],
  );
}
