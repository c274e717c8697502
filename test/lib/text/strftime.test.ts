import assert from 'node:assert/strict';
import { test } from 'node:test';
import { strftime } from '#lib/text/strftime.js';

const afternoon = new Date(2024, 6, 5, 13, 4, 9); // local time
const midnight = new Date(2023, 11, 31, 0, 0, 0);

test('dates that Python writes are the same, a time without a zone included', () => {
  const format = '%a %A %b %B %d %-d %e %f %h %H %I %-I %j %m %M %p %S %u %w %y %Y [%z%Z] %% %c|%D|%F|%R|%T|%x|%X';
  assert.equal(
    strftime(new Date(2026, 0, 5, 0, 7, 9), format),
    'Mon Monday Jan January 05 5  5 000000 Jan 00 12 12 005 01 07 AM 09 1 1 26 2026 [] % Mon Jan  5 00:07:09 2026|01/05/26|2026-01-05|00:07|00:07:09|01/05/26|00:07:09',
  );
  assert.equal(
    strftime(new Date(2024, 11, 31, 13, 45, 30), format),
    'Tue Tuesday Dec December 31 31 31 000000 Dec 13 01 1 366 12 45 PM 30 2 2 24 2024 [] % Tue Dec 31 13:45:30 2024|12/31/24|2024-12-31|13:45|13:45:30|12/31/24|13:45:30',
  );
});

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
