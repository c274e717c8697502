import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { PROJECT_ROOT } from '../tools/project.js';
import { readSections } from './markdown.js';

/** The anchor that GitHub gives a heading. */
const anchorOf = (title: string): string =>
  title
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

const DOCS = [
  'api',
  'architecture',
  'cuda',
  'deploying',
  'security',
  'serving',
  'several-gpus',
  'tensorrt-llm',
  'triton',
  'troubleshooting',
].map((name) => `docs/${name}.md`);
for (const file of ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...DOCS]) {
  test(`each link of ${file} to a file or heading of the project leads there`, () => {
    const links = readFileSync(join(PROJECT_ROOT, file), 'utf8').matchAll(/\]\(([^)]+)\)/g);
    for (const [, link = ''] of links) {
      if (link.startsWith('https://')) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : normalize(join(dirname(file), path));
      assert.ok(existsSync(join(PROJECT_ROOT, target)), link);
      const anchors = anchor === undefined ? [] : readSections(target).map(({ title }) => anchorOf(title));
      assert.ok(anchor === undefined || anchors.includes(anchor), link);
    }
  });
}
