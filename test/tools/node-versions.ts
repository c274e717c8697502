import { join } from 'node:path';
import { PROJECT_ROOT } from './project.js';

/**
 * The Node.js releases that tests run programs under, for each a program `node`: the oldest that the package supports, and
 * the newest of the other lines. `npm run test:js` installs them from test/tools/node-versions, where they are pinned.
 */
export const NODE_VERSIONS: readonly { major: number; node: string }[] = [20, 22, 24].map((major) => ({
  major,
  node: join(PROJECT_ROOT, `test/tools/node-versions/node_modules/node${major}/bin/node`),
}));

/** The oldest and the newest, for tests of how processes and threads end, which take seconds each. */
export const OLDEST_AND_NEWEST = NODE_VERSIONS.filter((_, i) => i === 0 || i === NODE_VERSIONS.length - 1);
