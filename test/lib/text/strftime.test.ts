import assert from 'node:assert/strict';
import { test } from 'node:test';
import { strftime } from '#lib/text/strftime.js';

const afternoon = new Date(2024, 6, 5, 13, 4, 9); // local time
const midnight = new Date(2023, 11, 31, 0, 0, 0);

test('the fields are those of strftime in the C locale', () => {
  const format = '%a %A|%b %B|%d|%H|%I|%m|%M|%p|%S|%y|%Y|%%';
  assert.equal(strftime(afternoon, format), 'Fri Friday|Jul July|05|13|01|07|04|PM|09|24|2024|%');
  assert.equal(strftime(midnight, format), 'Sun Sunday|Dec December|31|00|12|12|00|AM|00|23|2023|%');
});

test('a minus leaves out the leading zero', () => {
  assert.equal(strftime(afternoon, '%-d.%-m. %-I'), '5.7. 1');
  assert.equal(strftime(midnight, '%-H'), '0');
});

test('a directive that is not known is refused by its name', () => {
  assert.throws(() => strftime(afternoon, 'week %W'), /%W/);
});
