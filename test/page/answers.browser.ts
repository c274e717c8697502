import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { ChatPage } from './browser.js';
import type { Writer } from './page-server.js';
import { browser, server } from './session.js';

let chat: ChatPage;
beforeEach(async () => {
  chat = await ChatPage.open(browser, server.url);
});
afterEach(() => chat.close());

async function ask(text: string): Promise<Writer> {
  const writer = server.next();
  await chat.ask(text);
  return writer;
}

async function askAndAnswer(question: string, answer: string): Promise<void> {
  (await ask(question)).text(answer).end();
  await chat.said('The answer is complete.');
  await chat.hasAnswer(answer);
}

test('an answer is drawn while it comes, and then has its speed and the time to its first token', async () => {
  const writer = await ask('Hello?');
  writer.text('Hello');
  await chat.hasAnswer('Hello');
  assert.equal(await chat.answers.getAttribute('aria-busy'), 'true');
  writer.text(' **there**').end(12_000);
  await chat.hasAnswer(/\b\d+ tokens\/s · 12000 tokens · first token \d+ ms/);
  assert.equal(await chat.answers.locator('strong').innerText(), 'there');
  assert.equal(await chat.answers.getAttribute('aria-busy'), 'false');
});

test('the server gets the conversation, and of the settings those that are set', async () => {
  await askAndAnswer('One?', 'One.');
  await chat.button('Settings').click();
  await chat.page.getByLabel('System prompt').fill('Be brief.');
  await chat.page.getByLabel('Temperature').fill('0.3');
  await chat.page.getByLabel('Seed').pressSequentially('7');
  await chat.page.keyboard.press('Escape');
  await chat.page.getByLabel('Model').selectOption('large');
  const writer = await ask('Two?');
  assert.deepEqual(await writer.asked, {
    model: 'large',
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'One?' },
      { role: 'assistant', content: 'One.' },
      { role: 'user', content: 'Two?' },
    ],
    temperature: 0.3,
    seed: 7,
    stream: true,
    stream_options: { include_usage: true },
  });
  writer.end();
});

test('Esc stops an answer: the server learns of it, and what came stays', async () => {
  const writer = await ask('Tell me a story.');
  writer.text('Once upon');
  await chat.hasAnswer('Once upon');
  await chat.page.keyboard.press('Escape');
  await writer.left;
  await chat.hasAnswer('stopped · about 1 token');
  assert.match((await chat.texts(chat.answers))[0] ?? '', /\nOnce upon\n/);
});

test('a reload keeps the chat and the settings, and a half answer counts as interrupted', async () => {
  await askAndAnswer('One?', 'One.');
  await chat.button('Settings').click();
  await chat.page.getByLabel('Top P').fill('0.5');
  await chat.page.getByLabel('Dark').check();
  await chat.page.keyboard.press('Escape');
  (await ask('Two?')).text('Tw');
  await chat.hasAnswer('Tw');
  await chat.page.reload();
  assert.deepEqual(await chat.texts(chat.questions), ['One?', 'Two?']);
  await chat.hasAnswer('interrupted');
  assert.match((await chat.texts(chat.answers))[1] ?? '', /\nTw\n/);
  assert.equal(await chat.page.locator('html').getAttribute('data-theme'), 'dark');
  await chat.button('Settings').click();
  assert.equal(await chat.page.getByLabel('Top P').inputValue(), '0.5');
});

test('regenerate asks for the last answer again', async () => {
  await askAndAnswer('One?', 'Uno.');
  const again = server.next();
  await chat.button('Regenerate').click();
  const writer = await again;
  assert.deepEqual((await writer.asked).messages, [{ role: 'user', content: 'One?' }]);
  writer.text('Eins.').end();
  await chat.hasAnswer('Eins.');
  assert.equal(await chat.answers.count(), 1);
});

test('an edited question replaces what follows it', async () => {
  await askAndAnswer('One?', 'Uno.');
  await askAndAnswer('Two?', 'Due.');
  await chat.questions.first().hover();
  await chat.button('Edit').first().click();
  const again = server.next();
  const field = chat.page.getByLabel('Edit your message');
  await field.fill('Three?');
  await field.press('Enter');
  const writer = await again;
  assert.deepEqual((await writer.asked).messages, [{ role: 'user', content: 'Three?' }]);
  writer.text('Tre.').end();
  await chat.hasAnswer('Tre.');
  assert.deepEqual(await chat.texts(chat.questions), ['Three?']);
  assert.equal(await chat.button('Three?').count(), 1, 'the chat has the new title');
});

for (const [what, act, words] of [
  ['is busy', (w) => w.fail(429, {}, { 'retry-after': '3' }), 'The server is busy. Try again in 3 seconds.'],
  [
    'finds the chat too long',
    (w) => w.fail(400, { code: 'context_length_exceeded' }),
    'longer than the model can read',
  ],
  ['fails', (w) => w.fail(500, { message: 'It failed.' }), 'It failed.'],
  [
    'ends in the middle',
    async (w) => {
      w.text('Half');
      await chat.hasAnswer('Half');
      w.cut();
    },
    'The connection was lost before the answer was complete.',
  ],
] as [string, (writer: Writer) => void | Promise<void>, string][]) {
  test(`where the server ${what}, the answer says so in plain words and can be tried again`, async () => {
    await act(await ask('One?'));
    await chat.hasAnswer(words);
    await chat.said('The answer failed.');
    const again = server.next();
    await chat.button('Try again').click();
    (await again).text('Uno.').end();
    await chat.hasAnswer('Uno.');
    assert.equal(await chat.page.locator('.failure').count(), 0);
  });
}

test('where the server is gone, the answer says so in plain words and can be tried again', async () => {
  await chat.page.route('**/v1/chat/completions', (route) => route.abort('connectionrefused'), { times: 1 });
  await chat.ask('One?');
  await chat.hasAnswer('The server cannot be reached. Check that it is running.');
  const again = server.next();
  await chat.button('Try again').click();
  (await again).text('Uno.').end();
  await chat.hasAnswer('Uno.');
});

test('reasoning is folded away, and a tool call shows its arguments', async () => {
  const writer = await ask('Weather?');
  writer.delta({ reasoning_content: 'They want *weather*.' });
  await chat.page.getByText('Thinking…').waitFor();
  writer.text('Let me see.');
  writer.delta({ tool_calls: [{ index: 0, function: { name: 'get_weather', arguments: '{"city":' } }] });
  writer.delta({ tool_calls: [{ index: 0, function: { arguments: '"Berlin"}' } }] });
  writer.end(9, 'tool_calls');
  await chat.page.getByText('Calls get_weather').click();
  assert.equal(await chat.page.locator('.tool-call pre').innerText(), '{\n  "city": "Berlin"\n}');
  assert.equal(await chat.page.getByText('They want').isVisible(), false);
  await chat.page.getByText('Thoughts').click();
  assert.equal(await chat.page.locator('.reasoning em').innerText(), 'weather');
});

test('an answer goes on while another chat is shown', async () => {
  const first = await ask('One?');
  first.text('Un');
  await chat.hasAnswer('Un');
  await chat.button('New chat').click();
  await askAndAnswer('Two?', 'Due.');
  first.text('o.').end();
  await chat.page.getByRole('button', { name: 'One?' }).first().click();
  await chat.hasAnswer(/Uno\..* 3 tokens/s);
});
