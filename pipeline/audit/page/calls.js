// Calls to the server. A `Refused` has the server's reason; a `Gone` means that no answer came.

export class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

export class Gone extends Error {}

let token = document.querySelector("meta[name=relmill-token]").content;

export async function get(path) {
  return answer(await ask(path, { cache: "no-store" }));
}

export async function post(path, document) {
  const response = await send(path, document);
  if (response.status !== 403) return answer(response);
  // The server may have been started anew since this page was loaded; its new page has its new token.
  const before = token;
  token = await tokenNow();
  return answer(token === before ? response : await send(path, document));
}

function send(path, document) {
  return ask(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-relmill-token": token },
    body: JSON.stringify(document),
  });
}

async function tokenNow() {
  const response = await ask("/", { cache: "no-store" });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.querySelector("meta[name=relmill-token]")?.content ?? token;
}

async function ask(path, options) {
  try {
    return await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    throw new Gone(String(error));
  }
}

async function answer(response) {
  let document;
  try {
    document = await response.json();
  } catch (error) {
    if (response.ok) throw new Gone(`the answer broke off (${error})`);
    document = {};
  }
  if (!response.ok) throw new Refused(response.status, document.error ?? `the server says ${response.status}`);
  return document;
}
