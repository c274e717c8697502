import assert from 'node:assert/strict';
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';

/** scripts/test-page.mjs says which. */
export const launch = (): Promise<Browser> => chromium.launch({ executablePath: process.env.CHROMIUM ?? 'chromium' });

/** The chat page in a browser that has never seen it. */
export class ChatPage {
  /** What the page may not do: run into its policy, throw, load something from elsewhere. */
  readonly problems: string[] = [];

  private constructor(readonly page: Page) {}

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<ChatPage> {
    const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
    const self = new ChatPage(await context.newPage());
    self.page.on('pageerror', ({ message }) => self.problems.push(message));
    self.page.on('console', (message) => {
      if (/Content Security Policy|Trusted ?Type/i.test(message.text())) self.problems.push(message.text());
    });
    self.page.on('dialog', (dialog) => {
      self.problems.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    const { origin } = new URL(url);
    context.on('request', (request) => {
      const target = request.url();
      if (!target.startsWith(`${origin}/`) && !/^(data|blob):/.test(target))
        self.problems.push(`a request for ${target}`);
    });
    self.page.on('popup', (popup) => self.problems.push(`another page: ${popup.url()}`));
    await self.page.goto(url);
    await self.message.waitFor();
    return self;
  }

  get message(): Locator {
    return this.page.getByRole('textbox', { name: 'Message', exact: true });
  }

  get answers(): Locator {
    return this.page.locator('li.answer');
  }

  get questions(): Locator {
    return this.page.locator('li.question .bubble');
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name, exact: true });
  }

  async ask(text: string): Promise<void> {
    await this.message.fill(text);
    await this.message.press('Enter');
  }

  /** Waits until the text is in the last answer. */
  async hasAnswer(text: string | RegExp): Promise<void> {
    await this.answers.last().filter({ hasText: text }).waitFor();
  }

  /** Waits until screen readers have been told so. */
  async said(sentence: string): Promise<void> {
    await this.page.locator('[role=status]').filter({ hasText: sentence }).waitFor({ state: 'attached' });
  }

  /** What is drawn. */
  texts(locator: Locator): Promise<string[]> {
    return locator.allInnerTexts();
  }

  /** Ends the test: the page has done nothing that it may not do. */
  async close(): Promise<void> {
    await this.page.context().close();
    assert.deepEqual(this.problems, []);
  }
}
