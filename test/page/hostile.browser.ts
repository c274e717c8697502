import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { ChatPage } from './browser.js';
import { browser, server } from './session.js';

let chat: ChatPage;
beforeEach(async () => {
  chat = await ChatPage.open(browser, server.url);
});
afterEach(() => chat.close());

/** Answers in small pieces, so that each half of it is drawn too. */
async function answer(markdown: string, pieces = 20): Promise<void> {
  const next = server.next();
  await chat.ask('Something?');
  const writer = await next;
  const length = Math.ceil(markdown.length / pieces);
  for (let at = 0; at < markdown.length; at += length) writer.text(markdown.slice(at, at + length));
  writer.end();
  await chat.said('The answer is complete.');
}

const HTML = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(2)>',
  '<svg onload=alert(3)></svg>',
  '<iframe src="https://evil.example/frame"></iframe>',
  '<form action="https://evil.example/form"><button>Log in</button></form>',
  '<style>body { display: none }</style>',
  '<link rel="stylesheet" href="https://evil.example/style.css">',
  '<base href="https://evil.example/">',
  '<meta http-equiv="refresh" content="0;url=https://evil.example/">',
  '<button class="copy-code">Press</button>',
  '<a href="javascript:alert(4)" id="message">link</a>',
  '<details open ontoggle=alert(5)>text</details>',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(6)&gt;">',
];

for (const html of HTML) {
  test(`an answer of ${html} shows that text and does nothing`, async () => {
    await answer(`Look: ${html}\n\n${html}\n`);
    const drawn = await chat.answers.locator('.prose').innerText();
    assert.equal(drawn.split(html).length, 3, drawn);
    assert.equal(await chat.answers.locator('.prose :not(div, p, br)').count(), 0);
  });
}

test('images become links, and nothing is asked of their host', async () => {
  await answer('![a cat](https://evil.example/cat.png?secret) ![](https://evil.example/1.png "x")');
  assert.equal(await chat.page.locator('img').count(), 0);
  assert.deepEqual(await chat.texts(chat.answers.locator('a')), ['a cat', 'image']);
});

test('only links to web and mail addresses lead anywhere, and those do not know the page', async () => {
  const bad = [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'java\tscript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
  ];
  const links = [...bad, '/v1/models', '?q=x', '//evil.example', '&#106;avascript:alert(1)'].map(
    (to) => `[bad](<${to}>)`,
  );
  await answer(
    `${links.join(' ')} [good](https://example.com/) <https://example.org/>\n\n[later][1]\n\n[1]: javascript:alert(7)`,
  );
  const hrefs = await chat.answers.locator('a').evaluateAll((all) => all.map((a) => a.getAttribute('href')));
  assert.deepEqual(
    hrefs.filter((href) => href !== null),
    ['https://example.com/', 'https://example.org/'],
  );
  for (const link of await chat.answers.locator('a[href]').all()) {
    assert.equal(await link.getAttribute('rel'), 'noopener noreferrer');
    assert.equal(await link.getAttribute('target'), '_blank');
  }
  for (const link of await chat.answers.locator('a:not([href])').all()) await link.click();
});

test('a code block with HTML in its text and its language shows that text', async () => {
  await answer('```"><img/src=x/onerror=alert(1)>\n<script>alert(2)</script>\n```\n');
  assert.equal(await chat.answers.locator('pre').innerText(), '<script>alert(2)</script>\n');
  assert.equal(await chat.page.locator('img, pre script').count(), 0);
});

for (const [what, markdown] of [
  ['20,000 nested quotes', `${'>'.repeat(20_000)} deep`],
  ['500 nested lists', Array.from({ length: 500 }, (_, i) => `${' '.repeat(2 * i)}- deep`).join('\n')],
  ['100,000 asterisks', `${'*'.repeat(100_000)}deep`],
  ['20,000 open brackets', `${'['.repeat(20_000)}deep`],
  ['a word of 100,000 letters', `deep${'x'.repeat(100_000)}`],
] as const) {
  test(`${what} are drawn within the page, which can be used afterwards`, async () => {
    await answer(markdown, 10);
    await chat.hasAnswer('deep');
    const { scrollWidth, clientWidth } = await chat.page.locator('.scroller').evaluate((element) => ({
      scrollWidth: element.scrollWidth,
      clientWidth: element.clientWidth,
    }));
    assert.ok(scrollWidth <= clientWidth, `${scrollWidth} of ${clientWidth}`);
    await answer('Still here.');
    await chat.hasAnswer('Still here.');
  });
}

test('what was kept in the browser by hand does nothing, and does not keep the page from starting', async () => {
  await chat.page.evaluate(() => {
    localStorage.setItem('node-tensorrt-llm/chat/a', '{"id":"a"}');
    localStorage.setItem('node-tensorrt-llm/chat/b', 'not JSON');
    const half = [{ role: 'assistant', id: 'm', text: 'x', reasoning: '', toolCalls: [null] }];
    localStorage.setItem(
      'node-tensorrt-llm/chat/d',
      JSON.stringify({ id: 'd', title: 'x', updated: 1, messages: half }),
    );
    localStorage.setItem('node-tensorrt-llm/sampling', '{"temperature":"hot"}');
    const message = { role: 'user', id: 'm', text: '<img src=x onerror=alert(1)>' };
    const chat = { id: 'c', title: '<img src=x onerror=alert(2)>', updated: 1, messages: [message] };
    localStorage.setItem('node-tensorrt-llm/chat/c', JSON.stringify(chat));
  });
  await chat.page.reload();
  assert.deepEqual(await chat.texts(chat.page.locator('.chat-title')), ['<img src=x onerror=alert(2)>']);
  await chat.button('<img src=x onerror=alert(2)>').click();
  assert.deepEqual(await chat.texts(chat.questions), ['<img src=x onerror=alert(1)>']);
});
