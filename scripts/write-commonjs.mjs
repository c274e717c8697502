// Writes what CommonJS gets of each entry of package.json, beside the ES module that tsc has written: a module that gives that
// one, so that there is one copy of all state, and its types, which TypeScript's node16 does not take from an ES module.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const root = path.join(import.meta.dirname, '..');
const { exports } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

const isClass = (value) => typeof value === 'function' && Function.prototype.toString.call(value).startsWith('class');

for (const entry of Object.values(exports)) {
  if (typeof entry === 'string') continue;
  const file = path.join(root, entry.default);
  const module = `./${path.basename(file)}`;
  const asImported = `'${module}' with { 'resolution-mode': 'import' }`;
  const values = Object.entries(await import(pathToFileURL(file).href)).map(([name, value]) => {
    const type = isClass(value) ? `export type ${name} = api.${name};\n` : '';
    return `export declare const ${name}: typeof api.${name};\n${type}`;
  });
  const base = file.replace(/\.js$/, '');
  writeFileSync(`${base}.cjs`, `module.exports = require('${module}');\n`);
  writeFileSync(
    `${base}.d.cts`,
    `import type * as api from ${asImported};\nexport type * from ${asImported};\n${values.join('')}`,
  );
}
