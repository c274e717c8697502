import { test } from 'node:test';
import { tinyEngine } from '../../tools/engines.js';
import { ends, runProgram } from '../../tools/programs.js';

test('with one thread in the pool a load, 64 encodes, 8 requests and a file read all end', async () => {
  const program = `
    import { readFile } from 'node:fs/promises';
    const first = await LLM.load(engine);
    const text = 'a prompt of some length '.repeat(100);
    const [second, file, encoded, results] = await Promise.all([
      LLM.load(engine),
      readFile(engine + '/config.json', 'utf8'),
      Promise.all(Array.from({ length: 64 }, () => first.tokenizer.encode(text))),
      first.generate(Array(8).fill(text), { maxTokens: 5, ignoreEos: true }),
    ]);
    console.log(JSON.parse(file).version !== '', new Set(encoded.map(({ length }) => length)).size, results.length);
    await Promise.all([first.close(), second.close()]);
  `;
  const exit = await runProgram(program, { engine: await tinyEngine() }, { env: { UV_THREADPOOL_SIZE: '1' } });
  ends(exit, { status: 0, out: 'true 1 8\n' });
});
