// Writes docs/troubleshooting.md from the table of codes in lib/base/errors.ts: npm run docs. With --check it only compares.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ERROR_CODES } from 'node-tensorrt-llm';

const file = path.join(import.meta.dirname, '../docs/troubleshooting.md');
const sections = Object.entries(ERROR_CODES).map(
  ([code, { meaning, causes, fix }]) => `## ${code}

${meaning}

- **Usual cause:** ${causes}
- **What to do:** ${fix}
`,
);
const text = `<!-- Written by npm run docs from lib/base/errors.ts: change it there. -->
# Troubleshooting

This package throws an \`LLMError\` with one of these codes in \`error.code\`. Its message says what was found, what was expected and
how to fix it; \`error.cause\` is the underlying error, if there is one. Programs find these texts in \`ERROR_CODES\`:
\`ERROR_CODES[error.code].fix\`.

${sections.join('\n')}`;

if (!process.argv.includes('--check')) {
  writeFileSync(file, text);
} else if (readFileSync(file, 'utf8') !== text) {
  console.error('docs/troubleshooting.md is not what lib/base/errors.ts makes; run: npm run docs');
  process.exit(1);
}
