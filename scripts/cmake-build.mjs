// A build directory holds its own path, and that of the sources, all over. CMake refuses one that was copied with its tree;
// ctest would run the programs of the first. As a command: `node scripts/cmake-build.mjs DIRECTORY`.
import { existsSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';

/** Removes what CMake knows of another directory, so that it starts anew; what was built elsewhere in it stays. */
export function forgetOtherTree(build) {
  const cache = path.join(build, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const [, configured] = /^CMAKE_CACHEFILE_DIR:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8')) ?? [];
  if (configured && existsSync(configured) && realpathSync(configured) === realpathSync(build)) return;
  console.log(`${build} was configured as ${configured}: it is configured anew`);
  for (const name of ['CMakeCache.txt', 'CMakeFiles', 'CTestTestfile.cmake']) {
    rmSync(path.join(build, name), { recursive: true, force: true });
  }
}

if (process.argv[1] === import.meta.filename) forgetOtherTree(process.argv[2]);
