import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { after, before, test } from 'node:test';
import { pull } from 'node-tensorrt-llm';
import type { Browser } from 'playwright-core';
import { PROJECT_ROOT } from '../tools/project.js';
import { ChatPage, launch } from './browser.js';

/** `serve` with a real model and a key. */
let child: ChildProcess;
let log: Interface;
let url: string;
let browser: Browser;
before(async () => {
  const engine = await pull('smollm2-135m-instruct');
  const args = ['serve', engine, '--port', '0', '--name', 'smollm2', '--api-key-env', 'TEST_KEY'];
  child = spawn(process.execPath, [join(PROJECT_ROOT, 'dist/cli/main.js'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TEST_KEY: 'secret' },
  });
  log = createInterface(child.stdout as NonNullable<ChildProcess['stdout']>);
  const [line] = (await once(log, 'line')) as [string];
  url = `${line.split(' ')[0]}/`;
  browser = await launch();
});
after(async () => {
  await browser.close();
  child.kill();
});

async function logged(pattern: RegExp): Promise<void> {
  for await (const [line] of on(log, 'line')) if (pattern.test(line as string)) return;
}

test('serve: the page asks for the key, shows the answer that the API gives, stops one, and has all of it after a reload', async () => {
  const chat = await ChatPage.open(browser, url);
  const key = chat.page.getByRole('textbox', { name: 'asks for an API key' });
  await key.waitFor();
  assert.ok(await key.evaluate((field) => field === document.activeElement));
  await key.fill('guess');
  await chat.button('Continue').click();
  await chat.page.getByText('did not accept this API key').waitFor();
  await chat.page.getByRole('textbox', { name: 'did not accept' }).fill('secret');
  await chat.button('Continue').click();
  await chat.page.getByRole('combobox', { name: 'Model' }).filter({ hasText: 'smollm2' }).waitFor();

  await chat.button('Settings').click();
  await chat.page.getByLabel('Temperature').fill('0');
  await chat.page.getByLabel('Maximum tokens').fill('24');
  await chat.page.keyboard.press('Escape');
  const question = 'How many r in strawberry?';
  await chat.ask(question);
  await chat.hasAnswer(/tokens\/s · \d+ tokens · first token/);
  const fields = { messages: [{ role: 'user', content: question }], temperature: 0, max_tokens: 24 };
  const headers = { authorization: 'Bearer secret' };
  const direct = await fetch(`${url}v1/chat/completions`, { method: 'POST', headers, body: JSON.stringify(fields) });
  const { choices } = (await direct.json()) as { choices: { message: { content: string } }[] };
  const kept = await chat.page.evaluate(
    () => Object.entries(localStorage).find(([name]) => name.includes('/chat/'))?.[1],
  );
  assert.equal(
    (JSON.parse(kept ?? '') as { messages: { text: string }[] }).messages[1]?.text,
    choices[0]?.message.content,
  );

  await chat.button('Settings').click();
  await chat.page.getByLabel('Maximum tokens').fill('4000');
  await chat.page.keyboard.press('Escape');
  const left = logged(/POST \/v1\/chat\/completions .*client left/);
  await chat.ask('Write a long story about a fox.');
  await chat.answers.nth(1).locator('.prose').waitFor();
  await chat.page.keyboard.press('Escape');
  await chat.hasAnswer('stopped');
  await left;

  const before = await chat.texts(chat.answers);
  await chat.page.reload();
  await chat.hasAnswer('stopped');
  assert.deepEqual(await chat.texts(chat.answers), before);
  assert.equal(await chat.page.getByText('API key').count(), 0);
  await chat.close();
});
