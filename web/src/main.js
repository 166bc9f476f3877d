// The page: takes photos, has a back end derain them one by one, and shows the results.

import { Browser } from "./browser.js";
import { BySize } from "./by_size.js";
import { resultName } from "./picture.js";
import { Server } from "./server.js";

const $ = (id) => document.getElementById(id);
const STAGES = {
  load: "Getting ready…",
  derain: "Removing rain…",
  wait: "The server is removing the rain…",
};

const PLACES = { gpu: " on the graphics card", server: " on the server" };

/** One photo: `state` is "waiting", "working", "done", "failed" or "cancelled". */
const items = [];
let selected;
// ?processor=cpu leaves the graphics card alone, ?processor=gpu uses it untested.
let backend = new Browser(new URLSearchParams(location.search).get("processor"));

// Photos in

function add(files) {
  const added = [...files].map((file) => ({
    file,
    name: file.name || "pasted.png",
    state: "waiting",
    url: URL.createObjectURL(file),
  }));
  if (!added.length) return;
  items.push(...added);
  $("items").append(...added.map(entryOf));
  selected = added[0];
  show();
  work();
}

async function addExample() {
  const response = await fetch("./example.jpg");
  add([new File([await response.blob()], "example.jpg", { type: "image/jpeg" })]);
}

function clear() {
  for (const item of items.splice(0)) forget(item);
  selected = undefined;
  show();
  $("choose").focus();
}

function remove(item) {
  const index = items.indexOf(item);
  items.splice(index, 1);
  forget(item);
  if (selected === item) selected = items[index] ?? items[index - 1];
  show();
}

function forget(item) {
  item.abort?.abort();
  item.entry.remove();
  URL.revokeObjectURL(item.url);
  if (item.result) URL.revokeObjectURL(item.result.url);
}

// Work

let busy = false;

async function work() {
  if (busy) return;
  busy = true;
  for (let item; (item = items.find(({ state }) => state === "waiting")); ) {
    await derain(item);
  }
  busy = false;
}

async function derain(item) {
  item.abort = new AbortController();
  item.state = "working";
  item.problem = undefined;
  item.progress = { stage: "load", done: 0, total: 0 };
  show();
  const started = performance.now();
  const onProgress = (progress) => {
    item.progress = progress;
    if (!progress.done) item.tilesSince = performance.now();
    if (item === selected) showProgress(item);
    mark(item);
  };
  try {
    const result = await backend.derain(item.file, onProgress, item.abort.signal);
    const seconds = (performance.now() - started) / 1000;
    item.result = { ...result, seconds, url: URL.createObjectURL(result.blob) };
    item.state = "done";
  } catch (error) {
    item.state = error.name === "AbortError" ? "cancelled" : "failed";
    item.problem = explain(error);
    item.final = error.name === "PictureError"; // trying again would not help
  }
  if (!items.includes(item)) forget(item);
  show();
}

function explain(error) {
  if (error.name === "PictureError") return error.message;
  if (error.name === "AbortError") return "Cancelled.";
  return `Something went wrong: ${error.message}`;
}

// Page out

function show() {
  $("welcome").hidden = items.length > 0;
  $("viewer").hidden = !selected;
  $("queue").hidden = !items.length;
  for (const item of items) {
    mark(item);
    item.entry.firstChild.setAttribute("aria-current", item === selected);
  }
  const done = items.filter(({ state }) => state === "done");
  $("downloadAll").hidden = done.length < 2;
  if (selected) showSelected(selected);
  // Keyboard users must not have to start over because a button has disappeared.
  const { activeElement } = document;
  if (activeElement !== document.body && !activeElement.offsetParent) $("name").focus();
}

function showSelected(item) {
  const done = item.state === "done";
  const stopped = item.state === "failed" || item.state === "cancelled";
  $("name").textContent = item.name;
  if ($("rainy").src !== item.url) {
    $("rainy").src = item.url;
    $("compare").style.removeProperty("--width");
    setZoom(false);
    setPosition(50);
  }
  $("rainy").alt = `${item.name}, before`;
  $("compare").hidden = item.state === "failed";
  $("compare").classList.toggle("busy", !done && !stopped);
  $("problem").hidden = !stopped;
  $("problem").textContent = item.problem ?? "";
  $("working").hidden = done || stopped;
  $("done").hidden = !done;
  $("retry").hidden = !stopped || item.final;
  for (const part of $("compare").querySelectorAll("#split, .tag, input, #derained")) {
    part.hidden = !done;
  }
  if (done) {
    const { url, width, height, seconds, processor } = item.result;
    $("derained").src = url;
    $("derained").alt = `${item.name}, after`;
    $("download").href = url;
    $("download").download = resultName(item.name);
    const where = PLACES[processor] ?? "";
    say(`${width} × ${height} pixels, done in ${seconds.toFixed(1)} s${where}`);
  } else {
    $("derained").removeAttribute("src");
    showProgress(item);
  }
}

function showProgress(item) {
  const { stage, done, total } = item.progress ?? {};
  if (total) {
    $("progress").max = total;
    $("progress").value = done;
  } else {
    $("progress").removeAttribute("value");
  }
  $("left").textContent = timeLeft(item);
  say({ waiting: "Waiting…", working: STAGES[stage] }[item.state] ?? "");
}

// Nothing while the first tiles say too little, or if it is not worth reading.
function timeLeft({ progress, tilesSince }) {
  const { done, total } = progress ?? {};
  if (!total || !done) return "";
  const seconds = ((performance.now() - tilesSince) / 1000 / done) * (total - done);
  if (seconds < 3) return "";
  if (seconds < 90) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  return `about ${Math.ceil(seconds / 60)} min left`;
}

// A status that is set again is read out again by screen readers.
function say(text) {
  if ($("status").textContent !== text) $("status").textContent = text;
}

const MARKS = {
  waiting: () => "waiting",
  working: ({ progress: { done, total } }) =>
    total ? `${Math.round((100 * done) / total)} %` : "working",
  done: () => "done",
  failed: () => "failed",
  cancelled: () => "cancelled",
};

function entryOf(item) {
  const choose = document.createElement("button");
  choose.type = "button";
  choose.className = "thumb";
  const image = document.createElement("img");
  Object.assign(image, { src: item.url, alt: "", draggable: false });
  image.onerror = () => image.removeAttribute("src");
  choose.append(image, text("span", item.name), text("small", ""));
  choose.onclick = () => {
    selected = item;
    show();
  };
  const close = text("button", "×");
  close.type = "button";
  close.className = "close";
  close.setAttribute("aria-label", `Remove ${item.name}`);
  close.onclick = () => remove(item);
  item.entry = document.createElement("li");
  item.entry.append(choose, close);
  return item.entry;
}

function mark(item) {
  const label = item.entry.querySelector("small");
  label.textContent = MARKS[item.state](item);
  label.dataset.state = item.state;
}

function text(tag, content) {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}

function setPosition(percent) {
  $("position").value = percent;
  $("position").setAttribute("aria-valuetext", `${percent} % before`);
  $("compare").style.setProperty("--position", `${percent}%`);
}

function setZoom(on) {
  $("stage").classList.toggle("zoomed", on);
  $("zoom").setAttribute("aria-pressed", on);
}

// The picture's own size, which the page does not exceed unless the picture is tiny.
$("rainy").onload = ({ target }) => {
  $("compare").style.setProperty("--width", target.naturalWidth);
  $("compare").style.setProperty("--height", target.naturalHeight);
};

// User actions

const actions = {
  choose: () => $("files").click(),
  example: addExample,
  cancel() {
    if (selected.state === "waiting") {
      Object.assign(selected, { state: "cancelled", problem: "Cancelled." });
      show();
    }
    selected.abort?.abort();
  },
  retry() {
    selected.state = "waiting";
    show();
    work();
  },
  zoom: ({ ariaPressed }) => setZoom(ariaPressed !== "true"),
  clear,
  downloadAll() {
    for (const { state, name, result } of items) {
      if (state !== "done") continue;
      const link = document.createElement("a");
      Object.assign(link, { href: result.url, download: resultName(name) }).click();
    }
  },
};

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-action]");
  if (button) actions[button.dataset.action](button);
});
$("files").onchange = ({ target }) => {
  add(target.files);
  target.value = ""; // the same file may be chosen again
};
$("position").oninput = ({ target }) => setPosition(target.value);
document.addEventListener("paste", ({ clipboardData }) => add(clipboardData.files));
for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    event.preventDefault(); // or the browser would leave the page and open the file
    document.body.classList.toggle("dropping", type === "dragover");
    if (type === "drop") add(event.dataTransfer.files);
  });
}

// Start

function choose(chosen) {
  backend = chosen;
  for (const note of document.querySelectorAll(".note")) note.textContent = backend.note;
  const ready = () => (document.body.dataset.ready = ""); // for tests
  backend.prepare().then(ready, () => {}); // the first photo will show what is wrong
}

$("terms").textContent = `Network ${MODEL.name}; weights for ${MODEL.terms}.`;
navigator.serviceWorker?.register("./sw.js").catch(() => {}); // only for offline use
choose(backend);

const server = await Server.find(MODEL.name);
if (server) {
  const backends = [new BySize(backend, server), backend, server];
  $("backend").append(...backends.map(({ label }) => new Option(label)));
  $("backend").onchange = ({ target }) => choose(backends[target.selectedIndex]);
  $("where").hidden = false;
  // Photos that are already here were added while the page said that they stay.
  if (items.length) $("backend").selectedIndex = backends.indexOf(backend);
  else choose(backends[0]);
}
