import { type Ran, runProgram } from './programs.js';

/** Where `python3` keeps its packages. */
export interface PythonPackages {
  /** The directory of the package tensorrt_llm; undefined if it is not installed. */
  tensorrtLlm: string | undefined;
  /** The Python they are of. */
  prefix: string;
  /** Directories that may hold packages: site-packages, dist-packages. */
  dirs: readonly string[];
  /** Holds libpython. */
  libDir: string | undefined;
}

// find_spec of a package at the top imports nothing. The working directory, which -c puts first, is removed: it must not be searched.
const QUERY = `
import importlib.util, json, sys, sysconfig
sys.path = [dir for dir in sys.path if dir]
spec = importlib.util.find_spec("tensorrt_llm")
found = spec.submodule_search_locations if spec and spec.origin else []
print(json.dumps([list(found)[:1], sys.prefix, sys.path, sysconfig.get_config_var("LIBDIR")]))
`;

/** Undefined if there is no `python3`, or if it fails. */
export async function findPythonPackages(): Promise<PythonPackages | undefined> {
  const ran = await runProgram('python3', ['-c', QUERY]);
  return ran && read(ran);
}

function read({ status, stdout }: Ran): PythonPackages | undefined {
  if (status !== 0) return undefined;
  const answer = stdout.trimEnd().split('\n').at(-1) ?? ''; // a sitecustomize.py may print too
  const [found, prefix, dirs, libDir] = JSON.parse(answer) as [string[], string, string[], string | null];
  return { tensorrtLlm: found[0], prefix, dirs, libDir: libDir ?? undefined };
}
