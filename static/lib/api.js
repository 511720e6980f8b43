// @ts-check
// The API: requests with the access token, sign-in and sign-out, events.
//
// The access token is kept in memory only; the refresh token is a cookie that scripts cannot read. After a reload the
// page uses that cookie to get a new access token. The types of bodies come from the OpenAPI document
// (tests/pages/api.d.ts).

/** The address of the sidecar, below any path that a proxy adds: this file is static/VERSION/lib/api.js. */
export const root = new URL('../../../', import.meta.url);

/**
 * An absolute address of a path below the sidecar's own.
 *
 * @param {string} path
 */
export const address = (path) => new URL(path, root).href;

/**
 * A name as a part of an address; its slashes stay.
 *
 * @param {string} name
 */
export const encoded = (name) => name.split('/').map(encodeURIComponent).join('/');

/** An error of the API: `status` (0 without an answer), `code`, `cause` (docs/errors.md) and `field` of the problem document. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   * @param {string} [code]
   * @param {string | null} [field]
   * @param {string} [cause]
   */
  constructor(message, status, code = '', field = null, cause = '') {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
    this.cause = cause;
  }
}

/**
 * Whether an error says that the request needs a sign-in.
 *
 * @param {unknown} error
 */
export const needsSignIn = (error) => error instanceof ApiError && error.status === 401;

/** @type {{ token: string, user: string, guest: boolean, mustChange: boolean, permissions: Api.Permission[] } | null} */
let access = null;
/** @type {Promise<boolean> | null} */
let renewal = null; // the refresh in progress
let timer = 0;

/** Dispatches `change` after a sign-in and after a sign-out. */
export const session = new EventTarget();

/** The name of the user who is signed in, or null. */
export const user = () => access?.user ?? null;

/** Whether the user is a visitor with a share link; user() is then the label of the link. */
export const isGuest = () => access?.guest ?? false;

/** Whether the user has to choose a password. */
export const mustChangePassword = () => access?.mustChange ?? false;

/** The access token, for MediaMTX, or null. */
export const token = () => access?.token ?? null;

/**
 * Whether the user has a permission for this action, so that the page shows what needs it. The server decides.
 *
 * @param {string} action
 */
export const may = (action) => access?.permissions.some((permission) => permission.action === action) ?? false;

/**
 * The error of an answer that refuses.
 *
 * @param {Response} response
 */
export async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const message = problem.detail || `${response.status} ${response.statusText}`;
  return new ApiError(message, response.status, problem.code, problem.field, problem.cause);
}

/**
 * The error for a request without an answer; an abort stays as it is.
 *
 * @param {unknown} error
 */
function unreachable(error) {
  const { name, message } = /** @type {Error} */ (error);
  return name === 'AbortError' ? error : new ApiError(message, 0, 'unreachable');
}

/**
 * Like fetch, with the access token. If the token has expired, gets a new one and tries once more.
 *
 * @param {string} path
 * @param {RequestInit} [options]
 */
export async function request(path, options = {}) {
  const attempt = async () => {
    const headers = new Headers(options.headers);
    if (access) headers.set('Authorization', `Bearer ${access.token}`);
    try {
      return await fetch(address(path), { ...options, headers });
    } catch (error) {
      throw unreachable(error);
    }
  };
  const response = await attempt();
  return response.status === 401 && access && (await resume()) ? attempt() : response;
}

/**
 * Asks for JSON; throws an ApiError for a refusal. An answer without a body gives null.
 *
 * @template {Api.Address} A
 * @template {Api.Method} [M='GET']
 * @param {A} path
 * @param {RequestInit & { method?: M }} [options]
 * @returns {Promise<Api.Answer<A, M>>}
 */
export async function call(path, options) {
  const response = await request(path, options);
  if (!response.ok) throw await refusal(response);
  return response.status === 204 ? /** @type {any} */ (null) : response.json();
}

/**
 * Sends a value as JSON.
 *
 * @template {Api.Address} A
 * @template {'PUT' | 'POST' | 'PATCH'} M
 * @param {M} method
 * @param {A} path
 * @param {Api.Body<A, M>} value
 * @param {Record<string, string>} [headers]
 * @returns {Promise<Api.Answer<A, M>>}
 */
export function send(method, path, value, headers = {}) {
  const type = { 'Content-Type': 'application/json' };
  const options = { method, headers: { ...type, ...headers }, body: JSON.stringify(value) };
  // The answers of all routes and methods together are a type that is too large for tsc; the signature above has the right one.
  return /** @type {any} */ (call)(path, options);
}

/**
 * Posts without the access token: an expired one must not make a sign-in fail.
 *
 * @template {Api.Address} A
 * @param {A} path
 * @param {Api.Body<A, 'POST'>} [value]
 */
async function post(path, value) {
  try {
    return await fetch(address(path), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: value === undefined ? null : JSON.stringify(value),
    });
  } catch (error) {
    throw unreachable(error);
  }
}

/**
 * Takes the access token of an answer over.
 *
 * @param {Response} response
 */
async function accept(response) {
  if (!response.ok) throw await refusal(response);
  /** @type {Api.Session} */
  const {
    access_token,
    expires_in,
    user: name,
    guest,
    must_change_password: mustChange,
    permissions,
  } = await response.json();
  const previous = access?.user;
  access = { token: access_token, user: name, guest, mustChange, permissions };
  clearTimeout(timer);
  timer = setTimeout(resume, Math.max(5, expires_in - 30) * 1000);
  if (previous !== name) session.dispatchEvent(new Event('change'));
}

/**
 * Signs in; the error says why this failed.
 *
 * @param {string} name
 * @param {string} pass
 */
export const signIn = async (name, pass) => accept(await post('api/v1/login', { user: name, pass }));

/**
 * Changes the password of the user; other sign-ins of the account end. The answer has the cookie of a new one, with which this
 * page goes on.
 *
 * @param {string} present
 * @param {string} fresh
 */
export async function changePassword(present, fresh) {
  await renewal;
  const change = postPassword(present, fresh);
  // The old sign-in ends with the change: requests that are refused meanwhile wait for the new one.
  renewal = change
    .then(renew, () => access !== null)
    .finally(() => {
      renewal = null;
    });
  await change;
  await renewal;
}

/**
 * Without the second attempt of `request`: a wrong password is a 401, too.
 *
 * @param {string} present
 * @param {string} fresh
 */
async function postPassword(present, fresh) {
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${access?.token}` };
  const body = JSON.stringify({ present, new: fresh });
  const response = await fetch(address('api/v1/me/password'), { method: 'POST', headers, body }).catch((error) => {
    throw unreachable(error);
  });
  if (!response.ok) throw await refusal(response);
}

/**
 * Opens a share link by its code.
 *
 * @param {string} code
 */
export const openShare = async (code) => accept(await post('api/v1/shares/open', { code }));

/**
 * Gets a new access token by the refresh cookie; gives whether the user is signed in. While the server is unreachable,
 * the old token stays.
 */
export function resume() {
  renewal ??= renew().finally(() => {
    renewal = null;
  });
  return renewal;
}

async function renew() {
  try {
    const response = await post('api/v1/login/refresh');
    if (response.status !== 204) await accept(response);
    return access !== null;
  } catch (error) {
    if (error instanceof ApiError && error.status === 0 && access) {
      timer = setTimeout(resume, 5000);
      return false;
    }
    forget();
    return false;
  }
}

/** Drops the access token. */
function forget() {
  const wasSignedIn = access !== null;
  access = null;
  if (wasSignedIn) session.dispatchEvent(new Event('change'));
}

/** Signs out, here and at the server. */
export async function signOut() {
  clearTimeout(timer);
  await post('api/v1/logout');
  access = null;
  session.dispatchEvent(new Event('change'));
}
