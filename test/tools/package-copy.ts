import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { addonDirectory } from '#lib/addon/addon.js';
import { temporaryDirectory } from './engines.js';
import { PROJECT_ROOT } from './project.js';

// Each copy listens for the end of the process.
process.setMaxListeners(50);

type Package = typeof import('node-tensorrt-llm');

/** A copy of the package, imported into this process, that has these libraries beside its addon and no others. */
export async function packageWith(
  libraries: Readonly<Record<string, string>> = {},
): Promise<Package & { readonly dir: string }> {
  const dir = join(await temporaryDirectory(), 'package');
  const beside = join(dir, 'build/Release');
  await mkdir(beside, { recursive: true });
  for (const name of ['package.json', 'dist']) await cp(join(PROJECT_ROOT, name), join(dir, name), { recursive: true });
  await symlink(join(PROJECT_ROOT, 'node_modules'), join(dir, 'node_modules'));
  const built = await readdir(addonDirectory());
  for (const name of built.filter((each) => !/^lib(executor_|guidance)/.test(each))) {
    await symlink(join(addonDirectory(), name), join(beside, name));
  }
  for (const [name, path] of Object.entries(libraries)) await symlink(path, join(beside, name));

  const { NODE_TENSORRT_LLM_PREBUILD } = process.env;
  delete process.env.NODE_TENSORRT_LLM_PREBUILD; // of sanitizers, whose addon the copy has too
  const load = (path: string): Promise<unknown> => import(pathToFileURL(join(dir, 'dist', path)).href);
  const addon = (await load('addon/addon.js')) as { addonDirectory(): string };
  addon.addonDirectory();
  if (NODE_TENSORRT_LLM_PREBUILD !== undefined) process.env.NODE_TENSORRT_LLM_PREBUILD = NODE_TENSORRT_LLM_PREBUILD;
  return { ...((await load('index.js')) as Package), dir };
}
