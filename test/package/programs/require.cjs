const { LLM } = require('node-tensorrt-llm');

async function main() {
  const [engine, isolation] = process.argv.slice(2);
  const llm = await LLM.load(engine, { isolation });
  const { text, finishReason } = await llm.generate('Once upon a time', { maxTokens: 12, temperature: 0 });
  await llm.close();
  console.log(JSON.stringify({ major: Number.parseInt(process.versions.node, 10), text, finishReason }));
}

main();
