// Holds the directions of includes between the rooms of native/: `npm run lint`. Another root than the project's, which has a
// native/ of its own, may be given: `node scripts/check-native-includes.mjs ROOT`.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const CONTRACT = ['executor', 'executor/cpp'];

/** The rooms that each room may include, beside itself. */
const ROOMS = {
  executor: [],
  'executor/cpp': ['executor'],
  json: ['executor/cpp'],
  text: [],
  guidance: [],
  embedded: [...CONTRACT, 'embedded/checkpoint', 'guidance'],
  'embedded/checkpoint': ['executor/cpp', 'json'],
  'embedded/cpu': [...CONTRACT, 'embedded', 'embedded/checkpoint'],
  'embedded/cuda': [...CONTRACT, 'embedded', 'embedded/checkpoint'],
  tensorrt_llm: [...CONTRACT, 'json'],
  executors: [...CONTRACT, 'embedded', 'embedded/cpu'],
  isolation: CONTRACT,
  addon: [...CONTRACT, 'text'],
};

/** The only files of a room that may include these besides. */
const FILES = {
  'addon/load.cc': ['executors', 'isolation'],
  'isolation/host.cc': ['executors'],
};

/** Headers of others, by how their names begin, and the rooms that may include them. */
const OTHERS = [
  [/^napi\.h|^node_api/, ['addon']],
  [/^simdjson/, ['json', 'embedded/checkpoint', 'text']],
  [/^tensorrt_llm\//, ['tensorrt_llm']],
  [/^(cuda|cublas|nccl)/, ['embedded/cuda', 'tensorrt_llm']],
  [/^(cub|cute|cutlass|flashinfer|thrust)\//, ['embedded/cuda']],
];

const root = path.resolve(process.argv[2] ?? path.join(import.meta.dirname, '..'));
const native = path.join(root, 'native');

const roomOf = (file) => {
  const [first, second] = file.split('/');
  return `${first}/${second}` in ROOMS ? `${first}/${second}` : first;
};

function check(file, include, isQuoted) {
  const room = roomOf(file);
  if (!(room in ROOMS)) {
    return isQuoted ? `its folder is no room of scripts/check-native-includes.mjs; add it` : undefined;
  }
  // The contract's own headers include each other from where they lie, so that they can be copied elsewhere as they are.
  if (isQuoted && room === 'executor' && !include.includes('/')) return undefined;
  if (isQuoted && !include.startsWith('native/')) return 'a header of ours is included by its path from the root';
  if (!isQuoted) {
    const [, rooms] = OTHERS.find(([header]) => header.test(include)) ?? [];
    return rooms === undefined || rooms.includes(room) ? undefined : `only ${rooms.join(' and ')} may include it`;
  }
  const included = roomOf(include.slice('native/'.length));
  if (included === room || ROOMS[room].includes(included) || FILES[file]?.includes(included)) return undefined;
  const files = Object.keys(FILES).filter((each) => FILES[each].includes(included) && roomOf(each) === room);
  const mayInclude = ROOMS[room].length > 0 ? ROOMS[room].join(', ') : 'nothing';
  return `${room} may include ${mayInclude}${files.length > 0 ? `; ${files.join(' and ')} alone ${included} too` : ''}`;
}

const wrong = [];
const files = readdirSync(native, { recursive: true }).filter((name) => /\.(h|cc|cu|cuh)$/.test(name));
for (const file of files.map((name) => name.replaceAll(path.sep, '/')).sort()) {
  const lines = readFileSync(path.join(native, file), 'utf8').split('\n');
  for (const [i, line] of lines.entries()) {
    const [, quote, include] = /^\s*#\s*include\s*([<"])([^>"]+)/.exec(line) ?? [];
    const why = include && check(file, include, quote === '"');
    if (why) wrong.push(`native/${file}:${i + 1} includes ${include}: ${why}`);
  }
}
if (wrong.length > 0) {
  console.error(wrong.join('\n'));
  process.exit(1);
}
