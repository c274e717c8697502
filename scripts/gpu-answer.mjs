// Asks a real model one question on the GPU and on the CPU, through `for await`: node scripts/gpu-answer.mjs ENGINE ["Question"].
// Fails unless both give the same text.
import { LLM } from 'node-tensorrt-llm';

const [engine = '', question = 'How many r in strawberry?'] = process.argv.slice(2);

async function answerOf(executor) {
  const llm = await LLM.load(engine, { executor });
  try {
    let answer = '';
    const messages = [{ role: 'user', content: question }];
    for await (const { text } of llm.stream({ messages }, { temperature: 0, maxTokens: 128 })) answer += text;
    return answer;
  } finally {
    await llm.close();
  }
}

const [gpu, cpu] = [await answerOf('cuda'), await answerOf('cpu')];
console.log(`${question}\n${gpu}`);
if (gpu === '' || gpu !== cpu) {
  console.error(`The CPU executor's answer is another: ${cpu}`);
  process.exit(1);
}
