import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, test } from 'node:test';
import { ChatPage } from './browser.js';
import { browser, server } from './session.js';

let chat: ChatPage;
beforeEach(async () => {
  chat = await ChatPage.open(browser, server.url, { permissions: ['clipboard-read', 'clipboard-write'] });
});
afterEach(() => chat.close());

async function askAndAnswer(question: string, answer: string): Promise<void> {
  const next = server.next();
  await chat.ask(question);
  (await next).text(answer).end();
  await chat.said('The answer is complete.');
  await chat.hasAnswer(answer);
}

const titles = async (): Promise<string[]> => chat.texts(chat.page.locator('.chat-title'));

test('where the browser has no room left, the page says so and goes on; once there is room, it keeps the chat', async () => {
  await chat.page.evaluate(() => {
    for (let size = 2 ** 22; size >= 1; size /= 2) {
      try {
        for (let i = 0; ; i++) localStorage.setItem(`filler ${size} ${i}`, 'x'.repeat(size));
      } catch {
        // No room for so much; perhaps for less.
      }
    }
  });
  await askAndAnswer('One?', 'Uno.');
  const notice = chat.page.getByRole('alert');
  await notice.filter({ hasText: 'no room left' }).waitFor();
  await chat.page.evaluate(() => {
    for (const key of Object.keys(localStorage)) if (key.startsWith('filler')) localStorage.removeItem(key);
  });
  await askAndAnswer('Two?', 'Due.');
  assert.equal(await notice.count(), 0);
  await chat.page.reload();
  assert.deepEqual(await chat.texts(chat.questions), ['One?', 'Two?']);
});

test('a chat is deleted once that has been confirmed, and stays so', async () => {
  await askAndAnswer('One?', 'Uno.');
  await chat.button('New chat').click();
  await askAndAnswer('Two?', 'Due.');
  assert.deepEqual(await titles(), ['Two?', 'One?']);
  const question = chat.page.getByRole('dialog', { name: 'Delete “One?”?' });
  await chat.page.locator('.chat-row', { hasText: 'One?' }).hover();
  await chat.button('Delete One?').click();
  await question.getByRole('button', { name: 'Cancel' }).click();
  assert.deepEqual(await titles(), ['Two?', 'One?']);
  await chat.button('Delete One?').click();
  await question.getByRole('button', { name: 'Delete', exact: true }).click();
  await question.waitFor({ state: 'hidden' });
  assert.deepEqual(await titles(), ['Two?']);
  await chat.page.reload();
  assert.deepEqual(await titles(), ['Two?']);
});

test('what is asked in one tab is there in another', async () => {
  const other = await chat.page.context().newPage();
  await other.goto(server.url);
  await askAndAnswer('One?', 'Uno.');
  await other.getByRole('button', { name: 'One?', exact: true }).click();
  await other.locator('li.answer', { hasText: 'Uno.' }).waitFor();
});

test('Delete all leaves nothing of any chat in the browser', async () => {
  await askAndAnswer('One?', 'Uno.');
  await chat.button('Settings').click();
  await chat.button('Delete all').click();
  await chat.page
    .getByRole('dialog', { name: 'Delete all chats?' })
    .getByRole('button', { name: 'Delete all' })
    .click();
  await chat.page.keyboard.press('Escape');
  await chat.page.getByText('Your chats stay in this browser.').waitFor();
  assert.doesNotMatch(await chat.page.evaluate(() => JSON.stringify(localStorage)), /One|Uno/);
});

test('Export downloads the chats as JSON', async () => {
  await askAndAnswer('One?', 'Uno.');
  await chat.button('Settings').click();
  const [download] = await Promise.all([chat.page.waitForEvent('download'), chat.button('Export').click()]);
  assert.match(download.suggestedFilename(), /^chats-\d{4}-\d\d-\d\d\.json$/);
  const [exported] = JSON.parse(await readFile(await download.path(), 'utf8')) as { messages: { text: string }[] }[];
  assert.deepEqual(
    exported?.messages.map(({ text }) => text),
    ['One?', 'Uno.'],
  );
});

test('Copy copies an answer as Markdown, and a code block as text', async () => {
  const answer = 'Look:\n\n```js\nf();\n```\n';
  await askAndAnswer('One?', 'Look:');
  const next = server.next();
  await chat.button('Regenerate').click();
  (await next).text(answer).end();
  await chat.hasAnswer('f();');
  await chat.said('The answer is complete.');
  const clipboard = () => chat.page.evaluate(() => navigator.clipboard.readText());
  await chat.answers.locator('.under').getByLabel('Copy').click();
  await chat.said('Copied.');
  assert.equal(await clipboard(), answer);
  await chat.answers.locator('.copy-code').click();
  await chat.answers.locator('.copy-code', { hasText: 'Copied' }).waitFor();
  assert.equal(await clipboard(), 'f();\n');
});

test('Copy works where the browser has no clipboard for the page, and gives the focus back', async () => {
  await chat.page.addInitScript(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
  await chat.page.reload();
  await askAndAnswer('One?', 'Uno.');
  await chat.answers.getByLabel('Copy').press('Enter');
  await chat.said('Copied.');
  assert.equal(await chat.page.evaluate(() => document.activeElement?.getAttribute('aria-label')), 'Copy');
  await chat.message.press('Control+v');
  assert.equal(await chat.message.inputValue(), 'Uno.');
});
