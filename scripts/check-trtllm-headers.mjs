// Compiles native/tensorrt_llm against NVIDIA's real headers, and reports each source that does not compile:
//   node scripts/check-trtllm-headers.mjs DIR... [-I INCLUDE_DIR...]
// DIR holds tensorrt_llm/executor/executor.h and version.h, itself or in include/ or cpp/include/. -I names where CUDA's
// headers are, and TensorRT's for 0.13 and 0.14. Nothing is linked or run.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.join(import.meta.dirname, '..');
const { values, positionals } = parseArgs({
  options: { include: { type: 'string', short: 'I', multiple: true, default: [] } },
  allowPositionals: true,
});
const usage = 'Usage: node scripts/check-trtllm-headers.mjs DIR... [-I INCLUDE_DIR...]';
if (positionals.length === 0) {
  console.error(usage);
  process.exit(2);
}

const folder = path.join(root, 'native', 'tensorrt_llm');
const sources = readdirSync(folder).filter((name) => name.endsWith('.cc'));
const simdjson = path.join(root, 'node_modules', '@nozbe', 'simdjson', 'src');

/** The compiler's errors, none if `source` compiles. */
function errorsOf(source, headers) {
  const system = [headers, ...values.include, simdjson].flatMap((dir) => ['-isystem', dir]);
  const flags = ['-std=c++17', '-fsyntax-only', '-Wall', '-Wextra', '-Werror', '-I', root];
  const { status, stderr, error } = spawnSync(
    process.env.CXX ?? 'c++',
    [...flags, ...system, path.join(folder, source)],
    {
      encoding: 'utf8',
    },
  );
  if (error) throw error;
  if (status === 0) return [];
  const errors = stderr.split('\n').filter((line) => /error:/.test(line));
  return errors.length > 0 ? errors : [stderr];
}

let failed = false;
for (const dir of positionals) {
  const headers = [dir, path.join(dir, 'include'), path.join(dir, 'cpp', 'include')].find((candidate) =>
    existsSync(path.join(candidate, 'tensorrt_llm', 'executor', 'executor.h')),
  );
  if (headers === undefined) {
    console.error(`${dir} holds no tensorrt_llm/executor/executor.h, nor do its include and cpp/include.\n${usage}`);
    process.exit(2);
  }
  const mismatches = sources.flatMap((source) => errorsOf(source, headers).map((error) => `${source}: ${error}`));
  failed ||= mismatches.length > 0;
  console.log(`${dir}: ${sources.length} sources, ${mismatches.length} mismatches`);
  for (const mismatch of mismatches) console.log(`  ${mismatch}`);
}
process.exit(failed ? 1 : 0);
