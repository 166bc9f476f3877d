// Keeps the page's own files for use without a network, and lets it use threads.

const CACHE = `tfderain-${"VERSION"}`; // the build fills in these three
const SHELL = ["SHELL"];
const LITERT = "LITERT";

// What a plain file server does not send: threads need the first two; the third also
// restricts LiteRT's own threads, which do not inherit the page's policy, to this origin.
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Content-Security-Policy": "connect-src 'self' blob: data:",
};

self.addEventListener("install", (event) => {
  const wasm = `${LITERT}litert_wasm_threaded_internal`;
  const files = [...SHELL, `${wasm}.js`, `${wasm}.wasm`];
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(files)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(forgetOlder().then(() => self.clients.claim()));
});

async function forgetOlder() {
  for (const name of await caches.keys()) {
    if (name.startsWith("tfderain-") && name !== CACHE) await caches.delete(name);
  }
}

self.addEventListener("fetch", (event) => {
  if (isOurs(event.request)) event.respondWith(answer(event.request));
});

// A server may have more below the same folder, which is not ours to keep.
function isOurs({ method, url }) {
  const { origin, pathname } = new URL(url);
  const folder = self.registration.scope;
  const name = (origin + pathname).startsWith(folder)
    ? (origin + pathname).slice(folder.length)
    : undefined;
  const known = name === "" || SHELL.includes(name) || name?.startsWith(LITERT);
  return method === "GET" && known;
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  // The page itself comes from the server as long as there is one, so it is never stale.
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept && request.mode !== "navigate") return withHeaders(kept);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return withHeaders(response);
  } catch (error) {
    if (kept) return withHeaders(kept);
    throw error;
  }
}

function withHeaders(response) {
  if (!response.ok) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) {
    if (!headers.has(name)) headers.set(name, value);
  }
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
