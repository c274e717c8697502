#!/usr/bin/env node
// What scripts/prebuildify.mjs has prebuildify run in place of node-gyp, which cannot build with CMake. The arguments (rebuild,
// a Node.js version, an architecture) are not needed: one Node-API build serves all versions, and there is one architecture.
import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import path from 'node:path';
import { LIBRARY } from './cuda-library.mjs';

const root = path.join(import.meta.dirname, '..');
const { status, error } = spawnSync('npm', ['run', 'build:native'], { cwd: root, stdio: 'inherit' });
if (error) console.error(`npm could not be run: ${error.message}`);
if (status !== 0) process.exit(status ?? 1);
// The working directory is prebuildify's; it takes a library of an executor along if one lies beside the addon. The CUDA executor's
// must hold more than a developer's has: scripts/cuda-library.mjs takes it along.
cpSync(path.join(root, 'build', 'Release'), path.join('build', 'Release'), {
  recursive: true,
  filter: (file) => path.basename(file) !== LIBRARY,
});
