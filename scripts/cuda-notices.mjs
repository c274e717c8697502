// The licences of what is compiled into libexecutor_cuda.so, each text as its pinned package has it.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');

/** The text of libexecutor_cuda.NOTICES.txt; undefined where cudart is not of the pinned wheels. */
export function cudaNotices({ packages: { compiler, headers } }) {
  if (compiler === undefined) return undefined;
  const text = (...names) => readFileSync(path.join(...names), 'utf8').trim();
  const flashinfer = path.join(headers, 'flashinfer', 'data', 'include', 'flashinfer');
  const cutlass = path.join(headers, 'flashinfer', 'data', 'cutlass', 'include', 'cutlass');
  const bsd = firstComment(text(cutlass, 'cutlass.h'));
  const [major, minor, patch] = ['MAJOR', 'MINOR', 'PATCH'].map(
    (part) => RegExp(`#define CUTLASS_${part} (\\d+)`).exec(text(cutlass, 'version.h'))[1],
  );
  const simdjson = path.join(root, 'node_modules', '@nozbe', 'simdjson');
  const wheel = (dir, name) => {
    const info = readdirSync(dir).find((each) => each.startsWith(`${name}-`) && each.endsWith('.dist-info'));
    return { version: info.slice(name.length + 1, -'.dist-info'.length), info: path.join(dir, info) };
  };
  const flashinferWheel = wheel(headers, 'flashinfer_python');
  const cccl = wheel(headers, 'nvidia_cuda_cccl');
  const cudart = wheel(compiler, 'nvidia_cuda_runtime');
  const notices = [
    ['FlashInfer', flashinferWheel.version, 'Apache-2.0', text(flashinferWheel.info, 'licenses', 'LICENSE')],
    [
      'FlashAttention 3, as FlashInfer has changed it',
      flashinferWheel.version,
      'BSD-3-Clause',
      `${firstComment(text(flashinfer, 'attention', 'hopper', 'mainloop.cuh'))}\n\nIts conditions are those of CUTLASS below.`,
    ],
    ['CUTLASS', `${major}.${minor}.${patch}`, 'BSD-3-Clause', bsd],
    ['CCCL (libcu++, CUB, Thrust)', cccl.version, 'see below', text(headers, 'nvidia', 'cu13', 'cccl', 'LICENSE')],
    [
      'NVIDIA CUDA runtime, libcudart_static.a',
      cudart.version,
      'the NVIDIA CUDA Toolkit EULA, whose Attachment A lists it as distributable',
      text(cudart.info, 'licenses', 'License.txt'),
    ],
    ['simdjson', JSON.parse(text(simdjson, 'package.json')).version, 'Apache-2.0', text(simdjson, 'LICENSE')],
  ];
  const rule = '='.repeat(100);
  const lines = [
    'libexecutor_cuda.so is Apache-2.0, as this package is. What follows is compiled into it, under its own licence.',
  ];
  for (const [name, version, licence, terms] of notices)
    lines.push('', rule, `${name} ${version}`, `Licence: ${licence}`, rule, '', terms);
  return `${lines.join('\n')}\n`;
}

/** The comment that a file begins with, without its asterisks. */
function firstComment(source) {
  const [, comment] = /^\/\*+([\s\S]*?)\*+\//.exec(source);
  return comment.replace(/^ ?\* ?/gm, '').trim();
}
