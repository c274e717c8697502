import { workerData } from 'node:worker_threads';
import { LLM } from 'node-tensorrt-llm';
import { hasChunk } from '../../../tools/program.js';

// Ends while its request runs.
await hasChunk(LLM.attach(workerData).stream({ tokens: [0] }, { maxTokens: 100_000 }));
process.exit();
