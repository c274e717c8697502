import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BrowserContextOptions } from 'playwright-core';
import { ChatPage } from './browser.js';
import { lowContrasts } from './contrast.js';
import type { Writer } from './page-server.js';
import { browser, server } from './session.js';

/** A test of the page in a window of its own. */
function inWindow(name: string, options: BrowserContextOptions, body: (chat: ChatPage) => Promise<void>): void {
  test(name, async () => {
    const chat = await ChatPage.open(browser, server.url, options);
    await body(chat);
    await chat.close();
  });
}

async function ask(chat: ChatPage, text: string): Promise<Writer> {
  const next = server.next();
  await chat.ask(text);
  return next;
}

const LONG = Array.from({ length: 80 }, (_, i) => `Paragraph ${i}.\n\n`).join('');

async function askAndAnswer(chat: ChatPage, question: string, answer: string): Promise<void> {
  (await ask(chat, question)).text(answer).end();
  await chat.said('The answer is complete.');
}

const focused = (chat: ChatPage): Promise<string> =>
  chat.page.evaluate(() => {
    const element = document.activeElement;
    return element?.getAttribute('aria-label') ?? element?.textContent?.trim() ?? '';
  });

inWindow('a chat needs only the keyboard', {}, async (chat) => {
  const { keyboard } = chat.page;
  assert.equal(await focused(chat), 'Message');
  const next = server.next();
  await keyboard.type('One,');
  await keyboard.press('Shift+Enter');
  await keyboard.type('two?');
  await keyboard.press('Enter');
  const writer = await next;
  assert.equal((await writer.asked).messages[0]?.content, 'One,\ntwo?');
  writer.text('Uno, due.').end();
  await chat.said('The answer is complete.');
  assert.equal(await focused(chat), 'Message');
  const again = server.next();
  await keyboard.press('Shift+Tab');
  assert.equal(await focused(chat), 'Regenerate');
  await keyboard.press('Enter');
  const second = await again;
  assert.equal(await focused(chat), 'Message');
  await chat.button('Stop').waitFor();
  await keyboard.press('Tab');
  assert.equal(await focused(chat), 'Stop');
  await keyboard.press('Enter');
  await second.left;
  await chat.said('The answer was stopped.');
  assert.equal(await focused(chat), 'Message');
});

inWindow('Tab reaches each control in the order of the page, and the focus shows', {}, async (chat) => {
  await askAndAnswer(chat, 'One?', '```\ncode\n```');
  await chat.button('New chat').focus();
  const reached: string[] = [];
  while (reached.at(-1) !== 'Message') {
    if (reached.length > 0) await chat.page.keyboard.press('Tab');
    reached.push(await focused(chat));
    const shows = await chat.page.evaluate(() => {
      const shown = document.activeElement?.closest('.composer') ?? document.activeElement;
      const { outlineStyle, borderColor } = getComputedStyle(shown as Element);
      const accent = getComputedStyle(document.documentElement).getPropertyValue('--accent');
      return outlineStyle !== 'none' || (accent === '#0b6b4f' && borderColor === 'rgb(11, 107, 79)');
    });
    assert.ok(shows, `the focus on ${reached.at(-1)}`);
  }
  assert.deepEqual(reached, [
    ...['New chat', 'One?', 'Delete One?', 'Model', 'Settings'],
    ...['Copy', 'Edit', 'Copy', 'Copy', 'Regenerate', 'Message'],
  ]);
});

inWindow('settings keep the focus inside, and give it back at Esc', {}, async (chat) => {
  await chat.button('Settings').focus();
  await chat.page.keyboard.press('Enter');
  await chat.page.getByRole('dialog', { name: 'Settings' }).waitFor();
  for (let i = 0; i < 20; i++) {
    assert.ok(await chat.page.evaluate(() => document.activeElement?.matches('dialog *, dialog, body')));
    await chat.page.keyboard.press('Tab');
  }
  await chat.page.keyboard.press('Escape');
  assert.equal(await focused(chat), 'Settings');
});

inWindow('a screen reader hears sentences, and no tokens', {}, async (chat) => {
  const writer = await ask(chat, 'One?');
  writer.text('Uno, due');
  await chat.hasAnswer('Uno, due');
  const live = '[aria-live], [role=log], [role=alert], [role=status]';
  assert.equal(await chat.page.locator(`:is(${live}) .answer`).count(), 0);
  assert.equal(await chat.page.locator('[role=status]').innerText(), '');
  writer.text(', tre.').end();
  await chat.said('The answer is complete.');
  const list = chat.page.getByRole('list', { name: 'Conversation' });
  const [question, answer] = await list.getByRole('listitem').all();
  assert.equal(await question?.getByRole('heading').innerText(), 'You');
  assert.equal(await answer?.getByRole('heading').innerText(), 'Answer of small');
});

inWindow('the title says that the answer is complete to who looks at another tab', {}, async (chat) => {
  const look = (hidden: boolean) =>
    chat.page.evaluate((value) => {
      Object.defineProperty(document, 'hidden', { value, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  await look(true);
  await askAndAnswer(chat, 'One?', 'Uno.');
  assert.equal(await chat.page.title(), 'The answer is complete. Chat');
  await chat.hasAnswer('Uno.');
  await look(false);
  assert.equal(await chat.page.title(), 'Chat');
});

inWindow('each control has a name', {}, async (chat) => {
  await askAndAnswer(chat, 'One?', '```\ncode\n```');
  await chat.button('Settings').click();
  const controls = 'button, select, textarea, input, summary, dialog[open], nav, [role=img]';
  const nameless = await chat.page.locator(controls).evaluateAll((all) =>
    all
      .filter((each) => {
        const labels = (each as HTMLInputElement).labels ?? [];
        const text = each.getAttribute('aria-label') ?? labels[0]?.textContent ?? each.textContent ?? '';
        return text.trim() === '';
      })
      .map(({ outerHTML }) => outerHTML),
  );
  assert.deepEqual(nameless, []);
});

for (const colorScheme of ['light', 'dark'] as const) {
  inWindow(
    `texts can be read on what is behind them, where the system is ${colorScheme}`,
    { colorScheme },
    async (chat) => {
      const markdown =
        '# Title\n\n> quote\n\n`code` [link](https://example.com)\n\n```js\ncode\n```\n\n| a |\n|---|\n| b |\n\n1. one';
      await askAndAnswer(chat, 'One?', markdown);
      (await ask(chat, 'Two?')).fail(500, { message: 'It failed.' });
      await chat.said('The answer failed.');
      const third = await ask(chat, 'Three?');
      third.delta({ reasoning_content: 'Hm.' });
      await chat.page.getByText('Thinking…').click();
      assert.deepEqual(await chat.page.evaluate(lowContrasts), []);
      await chat.button('Settings').click();
      assert.deepEqual(await chat.page.evaluate(lowContrasts), []);
      const background = await chat.page.locator('body').evaluate((body) => getComputedStyle(body).backgroundColor);
      assert.equal(background, colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(26, 26, 24)');
    },
  );
}

inWindow(
  'on a narrow phone nothing is cut off, and the chats are a drawer',
  { viewport: { width: 320, height: 560 } },
  async (chat) => {
    const table = `| ${'wide | '.repeat(20)}\n| ${'--- | '.repeat(20)}\n`;
    await askAndAnswer(chat, 'One?', `${'x'.repeat(200)}\n\n${table}\n\`\`\`\n${'y'.repeat(200)}\n\`\`\`\n`);
    const widths = await chat.page
      .locator('html, .scroller')
      .evaluateAll((all) => all.map((e) => [e.scrollWidth, e.clientWidth]));
    for (const [content, window] of widths) assert.equal(content, window);
    await chat.button('New chat').click();
    await askAndAnswer(chat, 'Two?', 'Due.');
    await chat.button('Chats').click();
    await chat.page.getByRole('dialog', { name: 'Chats' }).getByRole('button', { name: 'One?', exact: true }).click();
    assert.deepEqual(await chat.texts(chat.questions), ['One?']);
    assert.equal(await chat.page.getByRole('dialog').count(), 0);
  },
);

inWindow('the end of an answer moves nothing', {}, async (chat) => {
  const writer = await ask(chat, 'One?');
  writer.text(LONG);
  await chat.hasAnswer('Paragraph 79.');
  const places = () =>
    chat.page.locator('.bubble, .prose .block').evaluateAll((all) => all.map((e) => e.getBoundingClientRect().top));
  const before = await places();
  writer.end();
  await chat.said('The answer is complete.');
  assert.deepEqual(await places(), before);
});

inWindow('an answer is followed to its end, unless the reader has scrolled up', {}, async (chat) => {
  const scroller = chat.page.locator('.scroller');
  const left = () => scroller.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight);
  const writer = await ask(chat, 'One?');
  writer.text(LONG);
  await chat.hasAnswer('Paragraph 79.');
  assert.ok((await left()) < 1);
  await scroller.hover();
  await chat.page.mouse.wheel(0, -30);
  await chat.page.waitForFunction(() => {
    const { scrollHeight = 0, scrollTop = 0, clientHeight = 0 } = document.querySelector('.scroller') ?? {};
    return scrollHeight - scrollTop - clientHeight >= 30;
  });
  const top = await scroller.evaluate((e) => e.scrollTop);
  writer.text(`${LONG}More.`);
  await chat.hasAnswer('More.');
  assert.equal(await scroller.evaluate((e) => e.scrollTop), top);
  await chat.button('Go to the end').click();
  assert.ok((await left()) < 1);
  writer.text('\n\nThe last.').end();
  await chat.said('The answer is complete.');
  assert.ok((await left()) < 1);
});

inWindow('a selection in an answer stays while it grows', {}, async (chat) => {
  const writer = await ask(chat, 'One?');
  writer.text('Uno due');
  await chat.hasAnswer('Uno due');
  await chat.answers.locator('p').dblclick({ position: { x: 4, y: 8 } });
  const selected = () => chat.page.evaluate(() => getSelection()?.toString().trim());
  assert.equal(await selected(), 'Uno');
  writer.text(' tre **quattro**').end();
  await chat.said('The answer is complete.');
  assert.equal(await selected(), 'Uno');
});
