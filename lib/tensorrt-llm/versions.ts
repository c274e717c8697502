import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Where the headers say of which version they are. */
export const VERSION_HEADER = 'tensorrt_llm/executor/version.h';

/** The version of a directory of headers; undefined if it has no version.h, like a checkout. */
export const versionOfHeaders = (includeDir: string): string | undefined =>
  quoted(join(includeDir, VERSION_HEADER), /kTensorRtLlmVersion\s*=\s*"([^"]+)"/);

/** The version of a directory of the Python package, from its version.py or the wheel's .dist-info beside it. */
export function versionOfPackage(root: string): string | undefined {
  const version = quoted(join(root, 'version.py'), /__version__\s*=\s*["']([^"']+)["']/);
  if (version !== undefined || basename(root) !== 'tensorrt_llm') return version;
  try {
    const names = readdirSync(dirname(root));
    return names.map((name) => /^tensorrt_llm-(.+)\.dist-info$/.exec(name)?.[1]).find((found) => found !== undefined);
  } catch {
    return undefined;
  }
}

/** The version of a git checkout of TensorRT-LLM, from the headers in it. */
export const versionOfCheckout = (includeDir: string): string | undefined =>
  versionOfPackage(join(includeDir, '../../tensorrt_llm'));

function quoted(file: string, pattern: RegExp): string | undefined {
  try {
    return pattern.exec(readFileSync(file, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

/** A warning about a version that native/tensorrt_llm was not written for; undefined for the others. */
export function doubtOf(version: string): string | undefined {
  const [major = Number.NaN, minor = Number.NaN] = version.split('.').map(Number);
  const number = major * 1000 + minor;
  if (number >= 13 && number <= 1002) return undefined;
  const why = number < 13 ? 'older than 0.13' : 'newer than 1.2';
  return `TensorRT-LLM ${version} is ${why}: this package was written for 0.13 to 1.2. It may still compile.`;
}

/** Whether a version of anything is one of these, or newer. */
export function isAtLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [foundMajor = 0, foundMinor = 0] = version.split('.').map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}
