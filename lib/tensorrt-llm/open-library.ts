// A program: opens an executor library as LLM.load does, on the engine directory given, and prints the code and message of what
// that says as JSON. It runs in a process of its own, which a library that does not fit may take down.
import { fromNative } from '../executor-error.js';
import { loadAddon } from '../native.js';

const [library = '', engineDir = ''] = process.argv.slice(2);
const options = { library, hostProgram: undefined, engineDir, vocabulary: undefined };
const answer = await loadAddon()
  .load(options, () => {}, undefined)
  .promise.then(
    () => ({ code: 'OK', message: `${engineDir} was loaded` }),
    (thrown: unknown) => {
      const { code, message } = fromNative(thrown);
      return { code, message };
    },
  );
process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
