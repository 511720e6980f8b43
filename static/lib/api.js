// The API, and who uses it: requests with the access token, signing in and out, events.
//
// The access token is kept in memory only; the refresh token is a cookie that no script can read. A page that is loaded
// again gets a new access token by that cookie.

/** Where our addresses begin, whatever path is in front of them: this file is static/VERSION/lib/api.js. */
export const root = new URL('../../../', import.meta.url);

/** An address below ours, for a page or a request. */
export const address = (path) => new URL(path, root).href;

/** A name for an address: slashes stay. */
export const encoded = (name) => name.split('/').map(encodeURIComponent).join('/');

/** What went wrong, from the problem document: `status` (0 if there was no answer), `code` (docs/errors.md), `field`. */
export class ApiError extends Error {
  constructor(message, status, code = '', field = null) {
    super(message);
    Object.assign(this, { status, code, field });
  }
}

let access = null; // { token, user, guest, permissions }
let renewal = null; // the refresh in progress
let timer;

/** Tells `change` when somebody has signed in or out. */
export const session = new EventTarget();

/** The name of who has signed in; null for nobody. */
export const user = () => access?.user ?? null;

/** Whether it is a visitor with a share link; user() is the link's label then. */
export const isGuest = () => access?.guest ?? false;

/** The access token, for MediaMTX; null without one. */
export const token = () => access?.token ?? null;

/** Whether some permission is for this action. The server decides; this is for what is worth showing. */
export const may = (action) => access?.permissions.some((permission) => permission.action === action) ?? false;

/** The address of pictures, with the token where an <img> can show it: in the address. Not for people to copy. */
export function media(path) {
  const url = new URL(path, root);
  if (access) url.searchParams.set('token', access.token);
  return url.href;
}

async function failure(response) {
  const problem = await response.json().catch(() => ({}));
  const message = problem.detail || `${response.status} ${response.statusText}`;
  return new ApiError(message, response.status, problem.code, problem.field);
}

/** Like fetch, with the access token; gets a new one once if it has ended. An error means that there was no answer. */
export async function request(path, options = {}) {
  const send = async () => {
    const headers = new Headers(options.headers);
    if (access) headers.set('Authorization', `Bearer ${access.token}`);
    try {
      return await fetch(address(path), { ...options, headers });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new ApiError(error.message, 0, 'unreachable');
    }
  };
  const response = await send();
  return response.status === 401 && access && (await resume()) ? send() : response;
}

/** Asks for JSON; throws an ApiError for a refusal. An answer without a body is null. */
export async function call(path, options) {
  const response = await request(path, options);
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

/** Sends a value as JSON. */
export const send = (method, path, value) =>
  call(path, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(value) });

// Without the access token: what signs in must not fail because that has ended.
async function post(path, value) {
  try {
    return await fetch(address(path), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: value && JSON.stringify(value),
    });
  } catch (error) {
    throw new ApiError(error.message, 0, 'unreachable');
  }
}

async function take(response) {
  if (!response.ok) throw await failure(response);
  const { access_token: token, expires_in: seconds, user: name, guest, permissions } = await response.json();
  const before = access?.user;
  access = { token, user: name, guest, permissions };
  clearTimeout(timer);
  timer = setTimeout(resume, Math.max(5, seconds - 30) * 1000);
  if (before !== name) session.dispatchEvent(new Event('change'));
}

/** Signs in; an error says why not. */
export const signIn = async (name, password) => take(await post('api/v1/login', { user: name, password }));

/** Opens a share link by its code. */
export const openShare = async (code) => take(await post('api/v1/shares/open', { code }));

/** Goes on with a sign-in of before; says whether there is one. A server that is away does not end it. */
export function resume() {
  renewal ??= post('api/v1/login/refresh')
    .then((response) => (response.status === 204 ? null : take(response)))
    .then(
      () => access !== null,
      (error) => {
        if (error.status === 0 && access) {
          timer = setTimeout(resume, 5000);
          return false;
        }
        const had = access !== null;
        access = null;
        if (had) session.dispatchEvent(new Event('change'));
        return false;
      },
    )
    .finally(() => {
      renewal = null;
    });
  return renewal;
}

/** Signs out, here and at the server. */
export async function signOut() {
  clearTimeout(timer);
  await post('api/v1/logout');
  access = null;
  session.dispatchEvent(new Event('change'));
}

/**
 * Listens to what happens (docs/mediamtx.md has the kinds): `take({ id, type, path, data… })` for each event, until the
 * returned function is called. After an interruption it goes on from the last one. `connected(bool)` is told how it stands.
 */
export function listen(types, take, connected = () => {}) {
  const ending = new AbortController();
  const query = new URLSearchParams(types?.length ? { types: types.join(',') } : {});
  const run = async () => {
    for (let pause = 1; !ending.signal.aborted; pause = Math.min(pause * 2, 30)) {
      try {
        const response = await request(`api/v1/events?${query}`, { signal: ending.signal });
        if (!response.ok) throw await failure(response);
        connected(true);
        pause = 1;
        for await (const event of parsed(response.body)) {
          if (event.id) query.set('since', event.id);
          take(event);
        }
      } catch {
        // Tried again below.
      }
      if (ending.signal.aborted) return;
      connected(false);
      await new Promise((done) => {
        setTimeout(done, pause * 1000 * (0.75 + Math.random() / 2));
      });
    }
  };
  run();
  return () => ending.abort();
}

/** Server-sent events (HTML Living Standard, section 9.2.6) as far as our server sends them. */
async function* parsed(body) {
  let rest = '';
  for await (const text of chunks(body.pipeThrough(new TextDecoderStream()))) {
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = {};
      for (const line of block.split('\n')) {
        const colon = line.indexOf(':');
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
      }
      if (fields.data) yield { ...JSON.parse(fields.data), id: fields.id };
    }
  }
}

// Safari cannot iterate over a stream.
async function* chunks(stream) {
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    reader.cancel().catch(() => {});
  }
}
