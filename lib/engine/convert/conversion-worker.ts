import { once } from 'node:events';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { ThreadMessage } from './conversion-thread.js';
import { convertHere } from './convert.js';
import { packError } from './packed-error.js';

// The program of a conversion's thread: workerData is its ConversionJob.
const port = parentPort as MessagePort;
const tell = (message: ThreadMessage): void => port.postMessage(message);
try {
  await convertHere(
    workerData,
    {
      onProgress: (progress) => tell({ kind: 'progress', progress }),
      onWarning: (message) => tell({ kind: 'warning', message }),
    },
    async (write) => {
      const directory = once(port, 'message');
      tell({ kind: 'opened' });
      const [dir] = await directory;
      await write(dir);
    },
    true,
  );
  tell({ kind: 'written' });
} catch (error) {
  tell({ kind: 'failed', error: packError(error) });
}
