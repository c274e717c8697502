// Streams a real model's answer: npm run try, or node examples/strawberry.mjs "Your question"
import { LLM, pull } from 'node-tensorrt-llm';

const question = process.argv[2] ?? 'How many r in strawberry?';
const llm = await LLM.load(await pull('smollm2-135m-instruct', { onProgress: showProgress }));
try {
  for await (const { text } of llm.stream({ messages: [{ role: 'user', content: question }] })) {
    process.stdout.write(text);
  }
  process.stdout.write('\n');
} finally {
  await llm.close();
}

function showProgress({ stage, done, total }) {
  if (process.stderr.isTTY) process.stderr.write(`\r${stage} ${Math.round((100 * done) / total)} %\x1b[K`);
  if (process.stderr.isTTY && done >= total) process.stderr.write('\r\x1b[K');
}
