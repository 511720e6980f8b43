// Who uses the page: signing in and out, and requests with the access token.
//
// The access token is kept in memory only; the refresh token is a cookie that no script can read. A page that is loaded
// again gets a new access token by that cookie.

/** Where the pages are, whatever path is in front of them. */
export const root = new URL('.', import.meta.url);

let access = null; // { token, user, permissions }
let renewal = null; // the refresh in progress
let timer;

export const user = () => access?.user ?? null;
export const may = (action) => access?.permissions.some((permission) => permission.action === action) ?? false;

/** An address below ours, for a page or a request. */
export const address = (path) => new URL(path, root).href;

/** The address of pictures, with the token where an <img> can show it: in the address. */
export function media(path) {
  const url = new URL(path, root);
  if (access) url.searchParams.set('token', access.token);
  return url.href;
}

/** The words of a problem document. */
export async function failure(response) {
  const problem = await response.json().catch(() => ({}));
  return Object.assign(new Error(problem.detail || `${response.status} ${response.statusText}`), { status: response.status });
}

/** Like fetch, with the access token; gets a new one once if it has ended. */
export async function request(path, options = {}) {
  const send = () => {
    const headers = new Headers(options.headers);
    if (access) headers.set('Authorization', `Bearer ${access.token}`);
    return fetch(address(path), { ...options, headers });
  };
  const response = await send();
  return response.status === 401 && access && (await resume()) ? send() : response;
}

/** Asks the API for JSON; an error carries the words of the problem document. */
export async function call(path, options) {
  const response = await request(path, options);
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

const post = (path, body) =>
  fetch(address(path), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });

async function take(response) {
  if (!response.ok) throw await failure(response);
  const { access_token: token, expires_in: seconds, user: name, permissions } = await response.json();
  access = { token, user: name, permissions };
  clearTimeout(timer);
  timer = setTimeout(resume, Math.max(5, seconds - 30) * 1000);
}

/** Signs in; an error says why not. */
export const signIn = async (name, password) => take(await post('api/v1/login', { user: name, password }));

/** Opens a share link by its code. */
export const openShare = async (code) => take(await post('api/v1/shares/open', { code }));

/** Goes on with a sign-in of before, if there is one. */
export function resume() {
  renewal ??= post('api/v1/login/refresh')
    .then(take)
    .then(() => true, () => {
      access = null;
      return false;
    })
    .finally(() => { renewal = null; });
  return renewal;
}

export async function signOut() {
  clearTimeout(timer);
  await post('api/v1/logout');
  access = null;
}

const element = (tag, properties, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

const field = (label, properties) => element('label', {}, `${label} `, element('input', { required: true, ...properties }));

/** Makes the dialog in which people sign in; returns a function that opens it, and is done when it is closed: true if somebody has signed in. */
export function signInDialog() {
  const title = element('h2', { id: 'sign-in-title', textContent: 'Sign in' });
  const told = element('p', { className: 'bad', role: 'alert' });
  const form = element('form', {}, title,
    field('User', { name: 'user', autocomplete: 'username', autocapitalize: 'none', spellcheck: false }),
    field('Password', { name: 'password', type: 'password', autocomplete: 'current-password' }),
    told, element('button', { textContent: 'Sign in' }));
  const dialog = element('dialog', { id: 'sign-in' }, form);
  dialog.setAttribute('aria-labelledby', title.id);
  document.body.append(dialog);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    told.textContent = '';
    try {
      await signIn(form.elements.user.value, form.elements.password.value);
      form.reset();
      dialog.close('done');
    } catch (error) {
      told.textContent = error.message;
      form.elements.password.select();
    }
  });
  return () =>
    new Promise((done) => {
      dialog.addEventListener('close', () => done(dialog.returnValue === 'done'), { once: true });
      dialog.returnValue = '';
      if (!dialog.open) dialog.showModal();
    });
}
