// The ways to end a request before it ends by itself: node examples/end-early.mjs ENGINE
import { LLM } from 'node-tensorrt-llm';

const llm = await LLM.load(process.argv[2]);
const PROMPT = 'Once upon a time';
const ENDLESS = { ignoreEos: true }; // up to the end of the context window

try {
  // A time limit gives what there is by then.
  const late = await llm.generate(PROMPT, { ...ENDLESS, timeoutMs: 50 });
  console.log(`timeoutMs: finishReason ${late.finishReason}`);

  // So does abort(), and a loop that is left.
  const generation = llm.stream(PROMPT, ENDLESS);
  let characters = 0;
  for await (const { text } of generation) {
    characters += text.length;
    if (characters >= 20) break;
  }
  const left = await generation.result;
  console.log(`break: finishReason ${left.finishReason}`);

  // A signal throws its reason instead, in the loop and from result.
  const button = new AbortController();
  const signal = AbortSignal.any([button.signal, AbortSignal.timeout(60_000)]);
  const pressed = llm.generate(PROMPT, { ...ENDLESS, signal });
  button.abort(new Error('the user pressed stop'));
  await pressed.catch((error) => console.log(`signal: ${error.message}`));
} finally {
  await llm.close();
}
