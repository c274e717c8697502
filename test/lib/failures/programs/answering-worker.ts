import { parentPort, workerData } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';

// Answers each message with the text of a request, until it is told to close.
const llm = LLM.attach(workerData);
parentPort?.on('message', async (what) => {
  if (what === 'generate') {
    const { text } = await llm.generate({ tokens: [0] }, { maxTokens: 5 });
    parentPort?.postMessage(text);
  } else {
    await llm.close();
    parentPort?.postMessage('closed');
    parentPort?.close();
  }
});
