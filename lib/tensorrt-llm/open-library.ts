import { isError } from '../base/errors.js';
// A program: opens an executor library as LLM.load does, on the engine directory given, gives the load up once the engine is
// checked, and prints the code and message of what that says as JSON. It runs in a process of its own, which a library that does
// not fit may take down.

import { loadAddon } from '../addon/addon.js';
import { fromNative } from '../addon/executor-error.js';

/** EXECUTOR_LOAD_ABORTED of native/executor/types.h. */
const LOAD_ABORTED = 17;

const isGivenUp = (thrown: unknown): boolean =>
  isError(thrown) && 'executorCode' in thrown && thrown.executorCode === LOAD_ABORTED;

const [library = '', engineDir = ''] = process.argv.slice(2);
const options = { library, hostProgram: undefined, engineDir, tokenizer: undefined };
const pending = loadAddon().load(options, () => {}, undefined);
// Whether it is to go on, the executor asks when it has checked everything, and before it loads.
pending.abort();
const answer = await pending.promise
  .then(() => undefined)
  .catch((thrown: unknown) => (isGivenUp(thrown) ? undefined : fromNative(thrown)));
const { code, message } = answer ?? { code: 'OK', message: `${engineDir} fits` };
process.stdout.write(`${JSON.stringify({ code, message })}\n`, () => process.exit(0));
