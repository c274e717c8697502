import { after, before } from 'node:test';
import type { Browser } from 'playwright-core';
import { launch } from './browser.js';
import { PageServer } from './page-server.js';

/** Those of one test file, which imports them: from before its first test until after its last. */
export let server: PageServer;
export let browser: Browser;

before(async () => {
  server = await PageServer.start();
  browser = await launch();
});
after(async () => {
  await browser.close();
  await server.close();
});
