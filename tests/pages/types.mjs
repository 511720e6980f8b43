// Writes api.d.ts: the types of the API's bodies, made of the OpenAPI document that a running sidecar serves at
// /api/v1/openapi.json.
//
//   npm run types -- openapi.json            writes the file
//   npm run types -- openapi.json --check    fails if the file differs from the document
//
// Only the shapes of requests and of successful answers are kept: descriptions change often, and pages do not depend on them.

import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import openapiTS, { astToString } from 'openapi-typescript';

const METHODS = ['get', 'put', 'post', 'patch', 'delete'];
const TARGET = new URL('api.d.ts', import.meta.url);
const NOTE = '// Made by types.mjs of the OpenAPI document. Do not edit.\n\n';

/** The shapes of the document's bodies, without texts. */
function bare(document) {
  const paths = {};
  for (const [address, item] of Object.entries(document.paths)) {
    if (!address.startsWith('/api/v1/')) continue;
    paths[address] = {};
    for (const method of METHODS.filter((name) => item[name])) {
      const { requestBody, responses } = item[method];
      const successes = Object.entries(responses).filter(([status]) => status.startsWith('2'));
      paths[address][method] = { ...(requestBody && { requestBody }), responses: Object.fromEntries(successes) };
    }
  }
  return withoutTexts({
    openapi: document.openapi,
    info: { title: '', version: '' },
    paths,
    components: { schemas: document.components.schemas },
  });
}

/** A copy without the texts of schemas. A property with the name of such a text is an object and stays. */
function withoutTexts(value) {
  if (Array.isArray(value)) return value.map(withoutTexts);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key, inner]) => !isText(key, inner));
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutTexts(inner)]));
}

const TEXTS = ['description', 'example', 'default', 'format'];

const isText = (key, value) => key.startsWith('x-') || (TEXTS.includes(key) && typeof value !== 'object');

const [path, option] = process.argv.slice(2);
if (!path) throw new Error('usage: npm run types -- openapi.json [--check]');
// npm runs scripts in the folder of package.json; a relative path means the caller's folder.
const document = JSON.parse(readFileSync(resolve(process.env.INIT_CWD ?? '.', path), 'utf8'));
const made = NOTE + astToString(await openapiTS(bare(document), { alphabetize: true, emptyObjectsUnknown: true }));
if (option !== '--check') {
  writeFileSync(TARGET, made);
} else if (readFileSync(TARGET, 'utf8') !== made) {
  console.error(
    'tests/pages/api.d.ts is not of this document: run `npm run --prefix tests/pages types -- openapi.json`',
  );
  process.exitCode = 1;
}
