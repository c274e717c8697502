import { after, before, describe, test } from 'node:test';
import { executors, lacks } from './executors.js';
import { Conformance, cases } from './suite.js';

/** Every case that was imported as a test of its own. */
export function testCases(name: string): void {
  const executor = executors[name];
  if (!executor) throw new Error(`there is no executor ${name} to test`);
  describe(`the executor '${name}'`, { skip: lacks(executor) ?? false }, () => {
    let conformance: Conformance;
    before(async () => {
      conformance = await Conformance.open(executor);
    });
    after(() => conformance.close());
    for (const each of cases) {
      test(each.name, async (t) => {
        const verdict = await conformance.run(each);
        if (verdict.outcome === 'skip') t.skip(`lacks ${verdict.lacks}`);
        if (verdict.outcome === 'refused') t.diagnostic(`refused: lacks ${verdict.lacks}`);
      });
    }
  });
}
